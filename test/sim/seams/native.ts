/** lib/native.ts: what the kernel tells of processes. */
import type { Native } from '../../../lib/native.ts'
import { context, diskOf, me, step } from '../context.ts'
import type { Process } from '../world.ts'

/** A descriptor that stands for a process: its pid and this. */
const PIDFD = 1_000_000

export const native: Native = {
  kind: 'addon',
  mapCreate: () => null,
  unmap: () => undefined,
  lockFile: () => null,
  lockHolder(path) {
    step()
    const lock = diskOf(path).locks.get(path)
    return lock === undefined ? -1 : lock.holder === null ? 0 : (lock.holder as Process).pid
  },
  statfs: () => ({ type: 'tmpfs', free: 2 ** 32, total: 2 ** 32 }),
  pidfdOpen(pid) {
    step()
    const process = context().world.processes.get(pid)
    return process !== undefined && process.node === me().node && !process.reaped ? PIDFD + pid : -1
  },
  pidfdExit(fd) {
    const process = context().world.processes.get(fd - PIDFD)
    if (process === undefined || process.alive) return { exited: false, exit: null, signal: null }
    if (!process.reaped) return { exited: true, exit: null, signal: null }
    return { exited: true, exit: process.exit, signal: process.signal }
  },
  crc32: () => 0,
}
export const twin = native
export const ADDON_PATH = ''
export const loadAddon = (): null => null
