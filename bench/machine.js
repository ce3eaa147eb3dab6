// What the figures were measured on: without it they say nothing.
import { execFileSync } from 'node:child_process'
import { arch, cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { CLI } from './kit.js'

const read = (command, ...args) => execFileSync(command, args, { encoding: 'utf8' }).trim()

export const load = () => Number(loadavg()[0].toFixed(2))

export function describeMachine() {
  return {
    cores: cpus().length, cpu: cpus()[0].model, arch: arch(), memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(), node: process.versions.node, python: read('python3', '--version').split(' ').at(-1),
    journal: JSON.parse(read(process.execPath, CLI, 'doctor', '--json')).native,
    disk: read('df', '--output=fstype', tmpdir()).split('\n').at(-1),
    load: load(),
  }
}

/** The commit of this checkout, with + where files differ from it. */
export function commit() {
  const where = ['-C', import.meta.dirname]
  const isChanged = read('git', ...where, 'status', '--porcelain', '--untracked-files=no') !== ''
  return read('git', ...where, 'rev-parse', '--short', 'HEAD') + (isChanged ? '+' : '')
}
