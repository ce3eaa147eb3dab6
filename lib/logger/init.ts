/** init(): who am I, which run is this, where does the journal go; then a run that is one per process. */
import { hostname } from 'node:os'
import { isMainThread } from 'node:worker_threads'
import { wallMs } from '../clock.ts'
// Not config/index.ts: it loads zod, which would cost each trainer some 80 ms.
import { findSetting, type SettingName } from '../config/settings.ts'
import { messageOf, RankzeroError } from '../errors.ts'
import { newInstanceId, openJournal, pidNamespace, type JournalWriter } from '../journal/index.ts'
import { AGENT_PATIENCE_MS, BEAT_STALE_MS, RECORD_BYTES_MAX } from '../limits.ts'
import {
  ARGUMENT, formatOwner, headCandidates, identify, isAlone, isOwnedTuple, launchedBy, meetingId, parseOwner,
  SINGLE, TOO_LARGE, type Facts, type Identity, type Meeting,
} from '../rank/index.ts'
import type { Bodies, Origin } from '../record/index.ts'
import { cliOf } from '../spawn.ts'
import { isSupervised, readFacts, withoutEndedRun } from './facts.ts'
import { AgentKeeper } from './keeper.ts'
import { jsonBytes, plain } from './plain.ts'
import { SilentRun } from './silent-run.ts'
import type { InitOptions, Run } from './types.ts'
import { warmUp } from './warm-up.ts'
import { sayLine, WorkerRun } from './worker-run.ts'

let open: { run: Run; options: string; warned: boolean } | null = null

/**
 * The run of this process. Synchronous; a second call returns the open run. When no directory takes its
 * journal, that is told on stderr, values are counted as lost, and every 2 s it is tried again.
 * @throws RankzeroError USAGE when rank, worldSize and localRank contradict each other, or worldSize is above
 * 2^20.
 */
export function init(options: InitOptions = {}): Run {
  const given = JSON.stringify(safely(() => plain(options))) ?? ''
  if (open !== null) {
    if (given !== open.options && Object.keys(options ?? {}).length > 0 && !open.warned) {
      open.warned = true
      sayLine(open.run.rank, 'init() was called again with other arguments: they are ignored, as the run is '
        + 'open already. Call run.end() first to begin another.')
    }
    return open.run
  }
  const run = start(options ?? {})
  open = { run, options: given, warned: false }
  return run
}

const close = (): void => { open = null }

function start(options: InitOptions): Run {
  let env: NodeJS.ProcessEnv = { ...process.env }
  const facts = readFacts()
  const { rank, worldSize, localRank } = options
  const identity = identify(env, facts, { rank, worldSize, localRank })
  const node = hostname()
  const say = (line: string): void => sayLine(identity.rank, line)
  const silent = (): SilentRun => new SilentRun({ ...identity, node }, close)

  if (process.platform === 'win32') {
    say('Windows is not supported: nothing is recorded. Use Linux or macOS, or WSL.')
    return silent()
  }
  if (isShadow(env, facts, identity, options)) {
    if (!isMainThread && parseOwner(env, facts) === null) {
      say('init() in a worker thread records nothing. Call it in the main thread, or pass rank and '
        + 'worldSize.')
    }
    return silent()
  }

  const settings = readSettings(options, env, say)
  env = withoutEndedRun(env, settings.dir, say)
  const meeting = meetingId(env, facts, identity)
  if (isAlone(meeting, identity)) {
    say(`nothing says which run this rank of ${identity.worldSize} belongs to, so it is a run of its `
      + 'own. Start the ranks with rankzero run, or set MASTER_ADDR and MASTER_PORT for all of them.')
  }
  if (identity.source !== ARGUMENT) tellTooLarge(identity, say)
  if (identity.rank === 0 && identity.source !== ARGUMENT) tellConflicts(identity, say)

  const cli = findCli(env, say)
  const origin: Origin = {
    instance: newInstanceId(), meeting: meeting.meeting, run: env.RANKZERO_RUN || null, role: 'worker',
    rank: identity.rank, worldSize: identity.worldSize, localRank: identity.localRank, node,
    bootId: facts.bootId, pidns: pidNamespace(), pid: facts.pid, procStart: facts.procStart,
    startedAt: wallMs(), dir: settings.dir, cli: cli ? JSON.stringify(cli) : '',
    localWorldSize: identity.localWorldSize, ...traces(env, facts, meeting),
    ...headCandidates(env, identity),
  }
  const localWorldSize = identity.localWorldSize ?? identity.worldSize
  const journal = openJournal({ origin, env, overflowCap: settings.overflowCap, localWorldSize, say })
  process.env.RANKZERO_OWNER = formatOwner({ ...identity, pid: facts.pid, meeting: meeting.meeting })
  return openRun({ env, identity, origin, journal, cli, settings, options, say })
}

interface Opening {
  env: NodeJS.ProcessEnv
  identity: Identity
  origin: Origin
  journal: JournalWriter
  cli: string[] | null
  settings: ReturnType<typeof readSettings>
  options: InitOptions
  say: (line: string) => void
}

function openRun({ env, identity, origin, journal, cli, settings, options, say }: Opening): WorkerRun {
  warmUp()
  const now = wallMs()
  const supervised = isSupervised(env)
  // The supervisor starts one itself; else local rank 0 does, and the others only if it does not come to log.
  const firstStartAt = now + (supervised ? BEAT_STALE_MS : identity.localRank === 0 ? 0 : AGENT_PATIENCE_MS)
  const keeper = new AgentKeeper(journal, {
    cli, meeting: origin.meeting, run: origin.run, dir: origin.dir, env, firstStartAt, say,
  })
  const onEnd = (): void => {
    close()
    delete process.env.RANKZERO_OWNER
  }
  return new WorkerRun({
    rank: origin.rank, worldSize: origin.worldSize, localRank: origin.localRank, node: origin.node,
    dir: origin.dir, run: origin.run, open: openBody(identity, settings, options, say), onEnd,
    exitTimeoutMs: settings.exitTimeoutMs, capture: options.capture === true,
    isSupervised: () => supervised && isSupervised(env),
  }, journal, keeper)
}

/** What may tell of this process when it is gone, and whose it was. */
function traces(
  env: NodeJS.ProcessEnv, facts: Facts, meeting: Meeting,
): Pick<Origin, 'launch' | 'errorFile'> {
  const launch = isSupervised(env) ? env.RANKZERO_SUPERVISOR : launchedBy(meeting, facts)
  const errorFile = env.TORCHELASTIC_ERROR_FILE
  return { ...(launch ? { launch } : {}), ...(errorFile ? { errorFile } : {}) }
}

/**
 * A child or a thread that inherited the rank of a process that logs for it already: data loaders, pools.
 * One with a rank of its own is not.
 */
function isShadow(env: NodeJS.ProcessEnv, facts: Facts, identity: Identity, options: InitOptions): boolean {
  if (!isMainThread && options.rank === undefined) return true
  const owner = parseOwner(env, facts)
  // Nothing gives this one a rank: it has none of its own, whatever rank init() gave its parent.
  if (owner === null || !(isOwnedTuple(owner, identity) || identity.source === SINGLE)) return false
  // Our own mark, of a run that is over.
  return owner.pid !== facts.pid || !isMainThread
}

function readSettings(options: InitOptions, env: NodeJS.ProcessEnv, say: (line: string) => void) {
  const { project, name, key } = options
  const overruled: string[] = []
  const onInvalid = (error: RankzeroError): void => say(`${error.message}; ignored. ${error.remedy}`)
  const find = <N extends SettingName>(setting: N) => {
    const found = findSetting(setting, { code: { project, name, key }, env, onInvalid })
    for (const other of found.overruled.filter(({ origin }) => origin.from === 'code')) {
      overruled.push(`${setting} is '${found.value}' from ${found.origin.place}, not '${other.value}'`)
    }
    return found
  }
  const named = { project: find('project'), name: find('name'), key: find('key') }
  if (overruled.length > 0 && (env.RANKZERO_RANK ?? '0') === '0') {
    say(`${overruled.join('; ')} from init(): under rankzero run, flags and environment decide.`)
  }
  return {
    ...named, dir: find('dir').value, exitTimeoutMs: find('exitTimeoutMs').value,
    overflowCap: find('overflowCap').value,
  }
}

function tellConflicts(identity: Identity, say: (line: string) => void): void {
  if (identity.conflicts.length === 0) return
  const others = identity.conflicts
    .map((claim) => `${claim.variables.join(', ')} (${claim.source}) say ${claim.rank} of ${claim.worldSize}`)
  say(`rank ${identity.rank} of ${identity.worldSize} is from ${identity.source}; ${others.join('; ')}. `
    + 'If that is wrong, pass rank and worldSize to init(); rankzero doctor shows more.')
}

/** Nobody would take such a rank: the aggregator refuses it, and with it the agent of its whole node. */
function tellTooLarge({ rejected, rank, worldSize }: Identity, say: (line: string) => void): void {
  for (const { source, why } of rejected.filter((one) => one.why.startsWith(TOO_LARGE))) {
    say(`${source}: ${why}: ignored, so this is rank ${rank} of ${worldSize}. Correct that, or pass rank and `
      + 'worldSize to init().')
  }
}

function findCli(env: NodeJS.ProcessEnv, say: (line: string) => void): string[] | null {
  try {
    return cliOf(env)
  } catch (error) {
    say(`${messageOf(error)}; ignored. ${error instanceof RankzeroError ? error.remedy : ''}`)
    return cliOf({ ...env, RANKZERO_CLI: undefined })
  }
}

function openBody(
  identity: Identity, settings: Opening['settings'], options: InitOptions, say: (line: string) => void,
): Bodies['open'] {
  const body: Bodies['open'] = { source: identity.source }
  for (const name of ['project', 'name', 'key'] as const) {
    const { value, origin } = settings[name]
    if (value !== null && origin.from !== 'default') body[name] = value
  }
  if (options.config === undefined) return body
  const config = safely(() => plain(options.config))
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    say('init({ config }) is not an object that can be read: it is left out. Pass a plain object.')
  } else if (jsonBytes(config) > RECORD_BYTES_MAX / 2) {
    say(`init({ config }) takes ${jsonBytes(config)} bytes: it is left out. Keep it below `
      + `${RECORD_BYTES_MAX / 2}, or pass parts of it to run.params.`)
  } else {
    body.config = config as Record<string, unknown>
  }
  return body
}

function safely(read: () => unknown): unknown {
  try {
    return read()
  } catch {
    return undefined
  }
}
