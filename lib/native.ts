/**
 * The few system calls that Node lacks: a shared mapping, record locks, pidfds.
 *
 * In: native/build/rankzero.node, built at install time; RANKZERO_NATIVE=0 leaves it out.
 * Out: `native`, the addon or its twin in JavaScript with the same calls.
 * Invariants: no call throws; what the system refuses is null, -1 or a fact in the result.
 * The twin maps and locks nothing: journals are then segments, and life is pid plus start time.
 */
import { statfsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { ownFile } from './package.ts'
import { crc32 } from './record/crc32.ts'

export interface FileSystem {
  /** `tmpfs`, `ext4`, `xfs`, … or the magic number in hex. */
  type: string
  /** Bytes that an ordinary user may still take. */
  free: number
  total: number
}

export interface PidfdExit {
  exited: boolean
  exit: number | null
  signal: string | null
}

export interface Native {
  readonly kind: 'addon' | 'twin'
  /** A new file (it must not exist), allocated and mapped; null when the system or the twin refuses. */
  mapCreate(path: string, bytes: number): ArrayBuffer | null
  /** Unmaps now; every view of the buffer then has length 0. */
  unmap(buffer: ArrayBuffer): void
  /**
   * Creates the file and takes a POSIX write lock on all of it. Keep the descriptor and never open the file
   * again in this process: closing any descriptor of it frees the lock. null: held by another, or not
   * supported.
   */
  lockFile(path: string): number | null
  /**
   * Pid of the holder; 0 free; -1 cannot tell; -2 held by a process that this pid namespace does not show.
   */
  lockHolder(path: string): number
  statfs(path: string): FileSystem
  /** A descriptor that stands for the process, or -1. */
  pidfdOpen(pid: number): number
  /** `exit` and `signal` are null while the kernel does not tell them (before 6.15, or not reaped yet). */
  pidfdExit(fd: number): PidfdExit
  /** CRC-32 as in zlib; `seed` is the crc of the bytes before. */
  crc32(bytes: Uint8Array, seed?: number): number
}

/** statfs(2) magic numbers of the file systems that decide something here. */
const FILE_SYSTEMS: Record<number, string> = {
  0x01021994: 'tmpfs',
  0x858458f6: 'ramfs',
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x6969: 'nfs',
  0x794c7630: 'overlay',
  0x0bd00bd0: 'lustre',
  0x47504653: 'gpfs',
  0xff534d42: 'cifs',
  0xfe534d42: 'smb2',
  0x65735546: 'fuse',
  0x9fa0: 'proc',
}

const NOTHING: FileSystem = { type: 'unknown', free: 0, total: 0 }

function statfs(path: string): FileSystem {
  try {
    const s = statfsSync(path)
    const type = FILE_SYSTEMS[s.type >>> 0] ?? `0x${(s.type >>> 0).toString(16)}`
    return { type, free: s.bavail * s.bsize, total: s.blocks * s.bsize }
  } catch {
    return NOTHING
  }
}

export const twin: Native = {
  kind: 'twin',
  mapCreate: () => null,
  unmap: () => undefined,
  lockFile: () => null,
  lockHolder: () => -1,
  statfs,
  pidfdOpen: () => -1,
  pidfdExit: () => ({ exited: false, exit: null, signal: null }),
  crc32,
}

/** What the C side exports; statfs answers the magic number, so that names live in one table. */
type Addon = Omit<Native, 'kind' | 'statfs'>

/** Loads one build of the addon; null when it is not there or does not load. */
export function loadAddon(path: string): Native | null {
  try {
    const addon = createRequire(import.meta.url)(path) as Addon
    return { ...addon, kind: 'addon', statfs }
  } catch {
    return null
  }
}

export const ADDON_PATH = ownFile('native/build/rankzero.node')

export const native: Native = (process.env['RANKZERO_NATIVE'] === '0' ? null : loadAddon(ADDON_PATH)) ?? twin
