/** What the server holds: projects, experiments, and every write in the order in which it came. */
import { createHash } from 'node:crypto'
import { Random } from '../sim/random.ts'
import type { Knobs } from './knobs.ts'
import { ASSET_LIMITS, CODE, refuse, Refusal } from './refusals.ts'

/** A value as it was stored; `request` is the number of its entry in the request log, `at` its time. */
export interface Write {
  value: unknown
  step: number | null
  epoch: number | null
  context: string | null
  timestamp: number | null
  request: number
  at: number
}

export interface Asset {
  assetId: string
  fileName: string
  type: string
  /** Absent for a reference. */
  bytes: Buffer | null
  sha256: string | null
  size: number
  link: string | null
  step: number | null
  epoch: number | null
  context: string | null
  groupingName: string | null
  artifactVersionId: string | null
  metadata: string | null
  /** How often it was uploaded: the same id again replaces it. */
  uploads: number
  at: number
}

export interface Artifact {
  artifactId: string
  name: string
  type: string
  versions: { artifactVersionId: string; version: string; state: string; fields: Record<string, unknown> }[]
}

export interface Line {
  output: string
  stderr: boolean
  localTimestamp: number | null
  offset: number | null
}

export class Experiment {
  readonly key: string
  readonly workspace: string
  readonly project: string
  readonly projectId: string
  readonly createdMs: number
  /** One per hand-shake. */
  readonly runIds: string[] = []
  /** By the SDK's hand-shake or by REST; online or from an archive; and how often it was taken up again. */
  readonly via: 'sdk' | 'rest'
  readonly offline: boolean
  resumed = 0
  startMs: number
  endMs: number | null = null
  archived = false
  deleted = false

  /** `ended`: is_alive:false was the last word. */
  readonly life = { ended: false, beats: 0, ends: 0, lastBeatMs: 0, crashed: false, stopAsked: false }
  readonly errors: { error: string | null; isAlive: boolean | null; hasCrashed: boolean; at: number }[] = []
  throttled = false
  /** Metrics that came after is_alive:false. */
  afterEnd = 0

  readonly metrics = new Map<string, Write[]>()
  readonly parameters = new Map<string, Write[]>()
  readonly others = new Map<string, Write[]>()
  readonly tags = new Set<string>()
  readonly output: Line[] = []
  readonly assets = new Map<string, Asset>()
  readonly artifacts = new Map<string, Artifact>()
  /** Of system-details, merged; and of each other endpoint by its name, as it came. */
  readonly system: Record<string, unknown> = {}
  readonly notes: Record<string, unknown[]> = {}
  html = ''

  constructor(place: { key: string; workspace: string; project: string; projectId: string }, how: {
    via: 'sdk' | 'rest'; offline: boolean; now: number
  }) {
    this.key = place.key
    this.workspace = place.workspace
    this.project = place.project
    this.projectId = place.projectId
    this.via = how.via
    this.offline = how.offline
    this.createdMs = this.startMs = how.now
  }

  get name(): string | null {
    return (this.others.get('Name')?.at(-1)?.value as string | undefined) ?? null
  }

  running(now: number, aliveMs: number): boolean {
    return !this.life.ended && this.life.beats > 0 && now - this.life.lastBeatMs < aliveMs
  }

  /** How it stands, in the words that tests use. */
  state(now: number, aliveMs: number): 'running' | 'ended' | 'silent' | 'new' {
    if (this.life.ended) return 'ended'
    if (this.life.beats === 0) return 'new'
    return this.running(now, aliveMs) ? 'running' : 'silent'
  }

  beat(isAlive: boolean, now: number): void {
    this.life[isAlive ? 'beats' : 'ends']++
    this.life.ended = !isAlive
    this.life.lastBeatMs = now
    this.endMs = isAlive ? null : this.endMs ?? now
  }

  put(map: 'metrics' | 'parameters' | 'others', name: string, write: Write): void {
    const writes = this[map].get(name)
    if (writes) writes.push(write)
    else this[map].set(name, [write])
    if (map === 'metrics' && this.life.ended) this.afterEnd++
  }

  note(endpoint: string, body: unknown): void {
    (this.notes[endpoint] ??= []).push(body)
  }

  addAsset(asset: Omit<Asset, 'sha256' | 'size' | 'uploads'>): Asset {
    const { bytes, type } = asset
    const limit = ASSET_LIMITS[type]
    const before = this.assets.get(asset.assetId)
    const held = [...this.assets.values()].filter((one) => one.type === type).length
    if (limit && !before && held >= limit.most) {
      refuse(`an experiment has ${limit.most} assets of type ${type} at most`, limit.code)
    }
    const sha256 = bytes === null ? null : createHash('sha256').update(bytes).digest('hex')
    const whole = { ...asset, sha256, size: bytes?.length ?? 0, uploads: (before?.uploads ?? 0) + 1 }
    this.assets.set(asset.assetId, whole)
    return whole
  }
}

const KEY = /^[0-9A-Za-z]{32,50}$/
const PROJECT_NAME_MAX = 99
const EXPERIMENTS_MAX = 25_000

export interface Project { id: string; workspace: string; name: string }

export class World {
  readonly experiments = new Map<string, Experiment>()
  readonly projects = new Map<string, Project>()
  readonly #ids: Random
  readonly #knobs: () => Knobs

  constructor(seed: number, knobs: () => Knobs) {
    this.#ids = new Random(seed, -1)
    this.#knobs = knobs
  }

  newId(): string {
    return this.#ids.hex(16)
  }

  clear(): void {
    this.experiments.clear()
    this.projects.clear()
  }

  /** Of that name, made when it is new (comet.md 1.2: 90219, 98219, 1341241). */
  project(workspace: string | null, name: string | null): Project {
    const { workspaces } = this.#knobs()
    const place = workspace ?? workspaces[0]!
    if (!workspaces.includes(place)) refuse(`workspace ${place} does not exist`, CODE.noSuchWorkspace)
    if (name === null || name === '') return refuse('no project name was given', CODE.noProjectName)
    if (name.length > PROJECT_NAME_MAX) refuse('the project name is too long', CODE.longProjectName)
    const known = this.projects.get(`${place}/${name}`)
    if (known) return known
    const project = { id: this.newId(), workspace: place, name }
    this.projects.set(`${place}/${name}`, project)
    return project
  }

  create(key: string, project: Project, how: { via: 'sdk' | 'rest'; offline: boolean }): Experiment {
    if (!KEY.test(key)) refuse(`experiment key ${key} is not 32 to 50 letters and digits`)
    if (this.experiments.has(key)) refuse(`experiment ${key} already exists`, CODE.exists)
    const held = [...this.experiments.values()].filter(({ projectId }) => projectId === project.id).length
    if (held >= EXPERIMENTS_MAX) refuse('the project is full', CODE.experimentLimit)
    const place = { key, workspace: project.workspace, project: project.name, projectId: project.id }
    const experiment = new Experiment(place, { ...how, now: Date.now() })
    this.experiments.set(key, experiment)
    return experiment
  }

  find(key: unknown): Experiment {
    if (typeof key !== 'string' || key === '') return refuse('no experiment key was given', CODE.keyNotGiven)
    const experiment = this.experiments.get(key)
    if (!experiment || experiment.deleted) return refuse(`experiment ${key} does not exist`, CODE.noSuchRun)
    return experiment
  }

  /** By its version id, wherever it was logged. */
  artifactVersion(id: unknown): { artifact: Artifact; version: Artifact['versions'][number] } {
    for (const { artifacts } of this.experiments.values()) {
      for (const artifact of artifacts.values()) {
        const version = artifact.versions.find(({ artifactVersionId }) => artifactVersionId === id)
        if (version) return { artifact, version }
      }
    }
    throw new Refusal(400, 'no artifact version found', CODE.noArtifactVersion)
  }
}

/** What is kept of a long series when it is read: evenly thinned, first and last among them. */
export function downsampled<T>(writes: readonly T[], most: number): readonly T[] {
  if (writes.length <= most) return writes
  return Array.from({ length: most }, (_, i) => writes[Math.round(i * (writes.length - 1) / (most - 1))]!)
}
