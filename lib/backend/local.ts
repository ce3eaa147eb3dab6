import { existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { messageOf, RankzeroError } from '../errors.ts'
import { makeDirectory } from '../ledger/durable.ts'
import { readJson, writeJson } from '../lock/meeting.ts'
import type { Endpoint, RunStatus } from '../record/run-status.ts'
import type { Backend } from './port.ts'

/**
 * `local`: the run directory. Rows need no sending, since they are read from the ledger (`rankzero export`);
 * a row is delivered when its seal is committed. What remains is the endpoint and the picture of the run,
 * replaced by rename.
 */
export function localBackend(dir: string): Backend {
  return {
    name: 'local',
    rows: null,
    announce: (endpoint) => writeJson(endpointPath(dir), endpoint, { durable: true }),
    status(picture) {
      try {
        writeJson(statusPath(dir), picture)
        return true
      } catch {
        // A full disk: the ledger says so with more weight, and the picture comes when there is room.
        return false
      }
    },
  }
}

export const ledgerPath = (dir: string): string => join(dir, 'ledger.sqlite')
export const statusPath = (dir: string): string => join(dir, 'status.json')
const endpointPath = (dir: string): string => join(dir, 'endpoint.json')
export const logPath = (dir: string, role: string): string => join(dir, 'log', `${role}.log`)

/** @throws RankzeroError LEDGER naming the directory. */
export function createRunDirectory(dir: string): void {
  try {
    mkdirSync(dirname(dir), { recursive: true })
    // Not recursive: on a read-only file system that says ENOENT instead of EROFS.
    for (const each of [dir, join(dir, 'log')]) if (!existsSync(each)) mkdirSync(each)
    // An acknowledgement is worth nothing in a directory whose name may be lost.
    makeDirectory(dir)
  } catch (error) {
    throw new RankzeroError('LEDGER', `cannot create the run directory ${dir}: ${messageOf(error)}`,
      'give a directory that can be written with --dir or RANKZERO_DIR', { cause: error })
  }
}

/** Null: not written yet. */
export const readStatus = (dir: string): RunStatus | null => readJson<RunStatus>(statusPath(dir))
export const readEndpoint = (dir: string): Endpoint | null => readJson<Endpoint>(endpointPath(dir))
