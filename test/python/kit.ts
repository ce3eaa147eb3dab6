/** Python processes for the tests of the client: which interpreters there are, how a script is started. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { listJournals, openReader } from '../../lib/journal/index.ts'
import { Kind, type Bodies, type Origin } from '../../lib/record/index.ts'
import { Collector, readAll, scratch, type Taken } from '../journal/helpers.ts'
import type { Place } from '../scenario/harness.ts'

export const CLIENT = resolve(import.meta.dirname, '../../lib/python')
/** Standard library only. */
export const PYTHON = '/usr/bin/python3'
/** With torch and NumPy; made by test/setup. */
export const VENV_PYTHON = resolve(import.meta.dirname, '../../.cache/venv/bin/python')

/** Every other Python from 3.8 on that pyenv has. */
export function otherPythons(): string[] {
  const versions = '/root/.pyenv/versions'
  if (!existsSync(versions)) return []
  return readdirSync(versions)
    .filter((name) => /^3\.(8|9|1\d)\b/.test(name))
    .map((name) => join(versions, name, 'bin/python3'))
    .filter((path) => existsSync(path))
}

/** Variables with which a Python of a place finds the client and the command line. */
export const envOf = (place: Place): NodeJS.ProcessEnv =>
  ({
    PYTHONPATH: CLIENT, RANKZERO_CLI: place.cli, PYTHONDONTWRITEBYTECODE: '1', RANKZERO_EXIT_TIMEOUT: '60',
  })

/** Writes a script of the place and returns its path. */
export function script(place: Place, text: string, name = 'train.py'): string {
  const path = join(place.root, name)
  writeFileSync(path, text)
  return path
}

/** Runs Python code with the client at hand and returns its standard output; throws with its errors. */
export function python(code: string, input = '', program = PYTHON): string {
  const env = { ...process.env, PYTHONPATH: CLIENT, PYTHONDONTWRITEBYTECODE: '1' }
  const done = spawnSync(program, ['-c', code], { env, input, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (done.status !== 0) throw new Error(`${program}: status ${done.status} ${done.signal}: ${done.stderr}`)
  return done.stdout
}

/** One journal that a script has left behind. */
export interface Left {
  origin: Origin
  taken: Taken[]
  /** (step, values) of each values record, in order. */
  logged: [number, number[]][]
  texts: Bodies['text'][]
  end: Bodies['end'] | null
  refused: Record<string, number>
  /** Whether the owner counts as alive. */
  alive: boolean
}

/** What a script did, and the journals that it left: no agent is there, so that they stay. */
export interface Outcome {
  status: number | null
  signal: string | null
  stdout: string
  stderr: string
  journals: Left[]
}

const bodies = <T>(taken: Taken[], kind: Kind): T[] =>
  taken.filter((record) => record.kind === kind).map(({ body }) => body as T)

function leftIn(path: string): Left {
  const reader = openReader(path)
  const sink = new Collector()
  readAll(reader, sink)
  const { origin } = reader
  const alive = reader.ownerAlive()
  reader.close()
  const refused: Record<string, number> = {}
  for (const { causes } of bodies<Bodies['refused']>(sink.taken, Kind.refused)) {
    for (const [cause, n] of Object.entries(causes)) refused[cause] = (refused[cause] ?? 0) + n
  }
  return {
    origin, taken: sink.taken, alive, refused,
    logged: sink.logged.map(({ step, values }) => [step!, values!]),
    texts: bodies(sink.taken, Kind.text),
    end: bodies<Bodies['end']>(sink.taken, Kind.end)[0] ?? null,
  }
}

/** Runs a script with the client and without any rankzero command; journals by rank, then start. */
export function leave(code: string, env: NodeJS.ProcessEnv = {}, program = PYTHON): Outcome {
  const dir = scratch()
  const path = join(dir, 'train.py')
  writeFileSync(path, code)
  const clean = Object.entries(process.env)
    .filter(([name]) => !/^(RANKZERO|RANK$|WORLD_SIZE|LOCAL_|SLURM|OMPI|PMI|MASTER_|VITEST)/.test(name))
  const all: Record<string, string | undefined> = {
    ...Object.fromEntries(clean), PATH: '/nowhere', HOME: dir, PYTHONPATH: CLIENT,
    PYTHONDONTWRITEBYTECODE: '1', RANKZERO_DIR: join(dir, 'runs'), RANKZERO_SHM_DIR: join(dir, 'shm'),
    ...env,
  }
  const done = spawnSync(program, [path], {
    encoding: 'utf8', maxBuffer: 1 << 28, timeout: 180_000, cwd: dir, env: all,
  })
  const told = /rankzero: (rank \d+: )?the rankzero command was not found, [^\n]*\n/g
  const { status, signal, stdout } = done
  const places = [all['RANKZERO_SHM_DIR']!, join(all['RANKZERO_DIR']!, '.pending')]
  const journals = places.flatMap((dir) => listJournals(dir)).map(leftIn)
    .sort((a, b) => a.origin.rank - b.origin.rank || a.origin.startedAt - b.origin.startedAt)
  return { status, signal, stdout, stderr: done.stderr.replace(told, ''), journals }
}
