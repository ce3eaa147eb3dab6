/**
 * What provision.js has provided, as files that others wait for: `base` is all that tests with launchers need
 * but Horovod, `complete` has that too. A list or a script that changes asks for another file.
 */
import { join, resolve } from 'node:path'
import { keyOf } from './steps.js'

export const CACHE = resolve(import.meta.dirname, '../../.cache')
export const VENV = join(CACHE, 'venv')
const own = (name) => join(import.meta.dirname, name)
/** Of Python packages: what tests and launchers use, the type check, the vendor's client of test/comet. */
export const LISTS = ['requirements.txt', 'requirements-types.txt', 'requirements-comet.txt'].map(own)

const PARTS = {
  base: [...LISTS, own('cuda_stubs.py')],
  complete: [...LISTS, own('horovod.sh'), own('cuda_stubs.py')],
}

/** Who has started provision.js names its process here, for those who wait for it. */
export const PROVISION = 'RANKZERO_TEST_PROVISION'

export function provisionRuns() {
  const pid = Number(process.env[PROVISION])
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch {
    return false
  }
}

/** @param {keyof typeof PARTS} what */
export const stampOf = (what) => join(VENV, `${what}-${keyOf(PARTS[what])}`)
