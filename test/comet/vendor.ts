/** The vendor's own client (comet_ml, by test/setup), in a place of its own, held to a stand-in. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { begin, type Ended } from '../scenario/harness.ts'
import { startStandIn, type StandIn } from './index.ts'
import type { Knobs } from './knobs.ts'

const BIN = resolve(import.meta.dirname, '../../.cache/venv/bin')
/** Bounds, not expectations: this Python starts in 2 s on an idle machine, and in 20 on a busy one. */
const CLIENT_MS = 60_000
export const LAB_MS = 180_000
export const API_KEY = 'vendorSecret000000000001'

/** Nothing of the machine's own settings, no calls to anyone else, nothing logged that was not asked for. */
const ENV = {
  COMET_API_KEY: API_KEY, COMET_ERROR_TRACKING_ENABLE: 'false', COMET_DISABLE_ANNOUNCEMENT: 'true',
  COMET_AUTO_LOG_ENV_CPU: 'false', COMET_AUTO_LOG_ENV_GPU: 'false', COMET_AUTO_LOG_ENV_NETWORK: 'false',
  COMET_AUTO_LOG_ENV_DISK: 'false', PYTHONDONTWRITEBYTECODE: '1', COLUMNS: '200',
}

/** Where it runs, and which server it meets. */
export interface Meeting { url: string; dir: string; env?: NodeJS.ProcessEnv }

/** A server and a directory for one piece of work; both are gone after it. */
export async function meet(knobs: Partial<Knobs>, work: (standIn: StandIn, meeting: Meeting) => Promise<void>)
: Promise<void> {
  const standIn = await startStandIn({ knobs: { keys: [API_KEY], ...knobs } })
  const dir = mkdtempSync(join(tmpdir(), 'rz-comet-'))
  try {
    await work(standIn, { url: standIn.url, dir })
  } finally {
    await standIn.close()
    rmSync(dir, { recursive: true })
  }
}

function run(argv: string[], { url, dir, env }: Meeting): Promise<Ended> {
  const { PATH } = process.env
  const whole = { PATH, HOME: dir, COMET_URL_OVERRIDE: `${url}/clientlib/`, ...ENV, ...env }
  return begin(argv, { cwd: dir, env: whole, timeout: CLIENT_MS, killSignal: 'SIGKILL' }).ended
}

/** A script of this folder. */
export const sdk = (meeting: Meeting, script: string, ...args: string[]): Promise<Ended> =>
  run([`${BIN}/python`, resolve(import.meta.dirname, script), ...args], meeting)

/** `comet upload ARCHIVE [flags]` */
export const upload = (meeting: Meeting, archive: string, ...flags: string[]): Promise<Ended> =>
  run([`${BIN}/comet`, 'upload', archive, ...flags], meeting)
