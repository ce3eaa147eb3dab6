import type { PlaceSettings } from '../backend/index.ts'
import type { KeyName, Keys } from '../config/keys.ts'

export interface AggregatorOptions {
  /** Null: a supervisor starts a new run; its meeting id follows from the run id that is minted. */
  meeting: string | null
  /** A run that is to be taken up again (`sync`, `--resume`, a restart). */
  run: string | null
  /** A new run, also where an earlier job left its meeting behind. */
  fresh: boolean
  /** The head was on another node and is gone: only a run that is there and not over is taken up. */
  adopt: boolean
  /** `sync` serves what is left: a member that no agent speaks for is not waited for. */
  closing: boolean
  /** … and nothing of the run waits on any node: no agent comes. */
  alone: boolean
  /** Parent of the run directories, absolute. */
  parent: string
  lockDir: string
  /** Flags and variables; null where init() may still decide. */
  key: string | null
  project: string | null
  name: string | null
  /** What files say of them: it holds where neither flags, variables nor init() say anything. */
  usual: { key: string | null; project: string | null; name: string | null }
  onCollision: 'fail' | 'wait' | 'rename'
  sealAfterMs: number
  joinTimeoutMs: number
  /** Several nodes may take part: listen for them too. */
  wide: boolean
  /** Backends by name; those that the run began with are added. */
  backends: readonly string[]
  /** What backends are told that the run did not begin with. */
  settings: PlaceSettings
  /** Takes keys, for this process and in memory only; never rejects. */
  keys: (names: readonly KeyName[]) => Promise<Keys>
  /** Backends log each of their calls. */
  debug: boolean
  /** For the diary: what is wrong with the configuration. */
  remarks: readonly string[]
  /** How long the end may wait for backends. */
  endMs: number
  /** Setting: path of the run secret; null: made in the run directory. */
  secretFile: string | null
  /** Tells the starter how it goes: `{waiting}`, `{ready}` or `{error}`. */
  tell: (line: object) => void
}
