/**
 * Builds the addon when the package is installed: plain cc and the headers of node-api-headers, a fraction of
 * a second.
 * Never fails an install: without a compiler one line says so, and the package works on segments.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { include_dir as headers } from 'node-api-headers'

const here = dirname(fileURLToPath(import.meta.url))
const out = join(here, 'build', 'rankzero.node')
const cc = process.env.CC || 'cc'

/** Arguments of the compiler; also used by the test that builds under sanitizers. */
export function compilerArguments(output, extra = []) {
  const sources = ['binding.c', 'linux.c', 'other.c', 'lock.c', 'crc32.c'].map((name) => join(here, name))
  const link = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : []
  return [
    '-std=gnu11', '-O2', '-Wall', '-Wextra', '-fPIC', '-shared', '-fvisibility=hidden', `-I${headers}`,
    ...extra, ...link, '-o', output, ...sources,
  ]
}

function build() {
  mkdirSync(dirname(out), { recursive: true })
  // Another name first: a process that has the old file loaded keeps it.
  const fresh = `${out}.${process.pid}`
  const { status, stderr, error } = spawnSync(cc, compilerArguments(fresh), { encoding: 'utf8' })
  if (status === 0) {
    renameSync(fresh, out)
    return 'native addon built'
  }
  rmSync(fresh, { force: true })
  const failure = stderr?.split('\n', 1)[0] ?? error
  const why = error?.code === 'ENOENT' ? `no C compiler (${cc})` : `${cc} failed: ${failure}`
  return `${why}; without the addon each log() is one write to a file (set CC, install again)`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(`rankzero: ${build()}`)
