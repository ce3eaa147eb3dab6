/**
 * The two hidden commands: what `spawnDaemon` starts. Read by hand and not by commander, which a process that
 * should stay small has no use for.
 */
import { fstatSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { currentConfig, type CurrentConfig } from '../config/central.ts'
import { resolveKeys, type KeyName, type Keys } from '../config/keys.ts'
import { readConfig } from '../config/layers.ts'
import { findSetting, type SettingName, type Settings, type Sources } from '../config/settings.ts'
import { messageOf, RankzeroError } from '../errors.ts'
import { CONFIG_FRESH_MS } from '../limits-config.ts'
import { outboxEndMs } from '../session/core-pauses.ts'
import { cliOf, type ReadyLine } from '../spawn.ts'

type Flags = Partial<Record<string, string | boolean>>

const sources: Sources = { env: process.env }

export async function agent(argv: readonly string[]): Promise<number> {
  const flags = read(argv, ['meeting', 'run', 'dir'], ['every-node'])
  sources.layers = readConfig(process.env).layers
  const { agentOptions, runAgent } = await import('../agent/index.ts')
  return runAgent(agentOptions({
    meeting: meetingOf(flags), run: runOf(flags, 'run'), env: process.env,
    dir: setting(flags, 'dir'), lockDir: setting(flags, 'lockDir'), spoolCap: setting(flags, 'spoolCap'),
    overflowCap: setting(flags, 'overflowCap'), exitTimeoutMs: setting(flags, 'exitTimeoutMs'),
    systemMetricsMs: setting(flags, 'systemMetrics'), secretFile: setting(flags, 'secretFile'),
    everyNode: flags['every-node'] === true, cli: cliOf(process.env),
  }))
}

/**
 * `--new` makes a run, `--meeting M` serves the run of a meeting id; `--resume RUN` says which one; `--wide`:
 * for other nodes too; `--adopt`: in place of a head on another node; `--closing`: for `sync`,
 * and `--alone`: no agent comes.
 */
export async function aggregator(argv: readonly string[]): Promise<number> {
  const texts = ['meeting', 'resume', 'dir', 'key', 'project', 'name', 'on-collision', 'end-timeout']
  const flags = read(argv, texts, ['new', 'fresh', 'wide', 'adopt', 'closing', 'alone'])
  const pipe = openPipe()
  const { runAggregator } = await import('../aggregator/index.ts')
  const { placeSettings } = await import('../backend/index.ts')
  const config = await currentConfig(process.env, CONFIG_FRESH_MS)
  sources.layers = config.layers
  const remarks = remarksOf(config)
  const status = await runAggregator({
    meeting: flags['new'] === true ? null : meetingOf(flags),
    run: runOf(flags, 'resume'),
    fresh: flags['fresh'] === true, adopt: flags['adopt'] === true, closing: flags['closing'] === true,
    alone: flags['alone'] === true, parent: setting(flags, 'dir'), lockDir: setting(flags, 'lockDir'),
    key: said(flags, 'key', SAID), project: said(flags, 'project', SAID), name: said(flags, 'name', SAID),
    usual: {
      key: said(flags, 'key', FILES), project: said(flags, 'project', FILES),
      name: said(flags, 'name', FILES),
    },
    onCollision: setting(flags, 'onCollision', 'on-collision'),
    sealAfterMs: setting(flags, 'sealAfterMs'), joinTimeoutMs: setting(flags, 'joinTimeoutMs'),
    backends: setting(flags, 'backend'), settings: placeSettings(process.env, config.layers),
    keys: (names) => keysOf(names, remarks), debug: setting(flags, 'debug'), remarks, endMs: endMs(flags),
    wide: flags['wide'] === true, secretFile: setting(flags, 'secretFile'), tell: pipe.tell,
  })
  pipe.close()
  return status
}

function read(argv: readonly string[], texts: readonly string[], switches: readonly string[]): Flags {
  const options = Object.fromEntries([
    ...texts.map((name) => [name, { type: 'string' }] as const),
    ...switches.map((name) => [name, { type: 'boolean' }] as const),
  ])
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values as Flags
  } catch (error) {
    throw new RankzeroError('USAGE', messageOf(error), OURS)
  }
}

const OURS = 'this command is started by rankzero itself'

/** It becomes part of file names. */
function meetingOf(flags: Flags): string {
  const value = text(flags, 'meeting')
  if (value !== null && /^[0-9a-f]{32}$/.test(value)) return value
  throw new RankzeroError('USAGE', '--meeting is missing, or no meeting id', OURS)
}

/** A run directory's name below the parent: never the parent itself, or one above. */
function runOf(flags: Flags, name: string): string | null {
  const value = text(flags, name)
  if (value === null) return null
  const run = basename(value)
  if (!/^\.|[\u0000-\u001f\u007f]/.test(run)) return run
  throw new RankzeroError('USAGE', `--${name} is no run id`, OURS)
}

const text = (flags: Flags, name: string): string | null => {
  const value = flags[name]
  return typeof value === 'string' && value !== '' ? value : null
}

function setting<N extends SettingName>(flags: Flags, name: N, flag: string = name): Settings[N] {
  return findSetting(name, { ...sources, flags: { [name]: flags[flag] } }).value
}

/** Whoever started us waits for the end, or lets us take our time. */
function endMs(flags: Flags): number {
  const own = text(flags, 'end-timeout')
  return own === null ? outboxEndMs(setting(flags, 'exitTimeoutMs')) : Number(own)
}

/** What comes before the code of init(), and what comes after it. */
const SAID = ['flag', 'environment']
const FILES = ['file', 'url']

/** Null where none of these said anything. */
function said(flags: Flags, name: 'key' | 'project' | 'name', by: readonly string[]): string | null {
  const found = findSetting(name, { ...sources, flags: { [name]: flags[name] } })
  return by.includes(found.origin.from) ? found.value : null
}

/** One that cannot be had is told of, and what needs it waits. */
async function keysOf(names: readonly KeyName[], remarks: string[]): Promise<Keys> {
  const keys = await resolveKeys(sources, names)
  for (const key of names.map((name) => keys[name])) if ('why' in key) remarks.push(key.why)
  return keys
}

/** A run that goes on is not stopped by what somebody has written in a file meanwhile. */
const remarksOf = ({ problems, stale }: CurrentConfig): string[] => [
  ...stale === null ? [] : [`the central configuration is not known to be current: ${stale}`],
  ...problems.map(({ message, remedy }) => `${message}; it does not count. ${remedy}`),
]

/**
 * Descriptor 3, where the starter reads how it went. A starter that left before we were ready needs no run
 * and should get no key; one that leaves after that means nothing.
 */
function openPipe(): { tell: (line: object) => void; close: () => void } {
  if (!isPipe(3)) return { tell: () => {}, close: () => {} }
  const socket = new Socket({ fd: 3, readable: true, writable: true })
  socket.on('error', () => {}).on('close', () => process.exit(0)).resume().unref()
  const close = (): void => {
    socket.removeAllListeners('close')
    socket.destroy()
  }
  return {
    close,
    tell(line: ReadyLine) {
      try {
        writeSync(3, `${JSON.stringify(line)}\n`)
      } catch {
        // The reader is gone; the socket's end, if it matters, is on its way.
      }
      if (line.waiting === undefined) close()
    },
  }
}

/** Started by hand, descriptor 3 is Node's own. */
function isPipe(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket()
  } catch {
    return false
  }
}
