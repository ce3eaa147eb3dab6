/** Python processes for the tests of the client: which interpreters there are, how a script is started. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
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
  ({ PYTHONPATH: CLIENT, RANKZERO_CLI: place.cli, PYTHONDONTWRITEBYTECODE: '1' })

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
