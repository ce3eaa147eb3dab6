// What the figures were measured on: without it they say nothing.
import { execFileSync } from 'node:child_process'
import { arch, cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { CLI } from './kit.js'

export function describeMachine() {
  const read = (command, ...args) => execFileSync(command, args, { encoding: 'utf8' })
  const { native } = JSON.parse(read(process.execPath, CLI, 'doctor', '--json'))
  const disk = read('df', '--output=fstype', tmpdir()).trim().split('\n').at(-1)
  return [
    `${cpus().length} × ${cpus()[0].model} (${arch()}), ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Linux ${release()}, Node ${process.versions.node}, journal ${native}, disk ${disk}`,
    `load ${loadavg()[0].toFixed(2)} at the end, ${new Date().toISOString().slice(0, 10)}`,
  ].join('\n')
}
