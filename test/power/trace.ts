/** The recorder's log as operations on paths and files, in the order in which they completed. */
import { readFileSync } from 'node:fs'

export type Op =
  | { type: 'create'; path: string; file: string }
  | { type: 'write'; path: string; file: string; at: number; data: Buffer }
  | { type: 'truncate'; path: string; file: string; size: number }
  /** fsync or fdatasync, of a file or a directory. */
  | { type: 'sync'; path: string; file: string }
  | { type: 'rename' | 'link'; path: string; to: string }
  | { type: 'unlink' | 'mkdir' | 'rmdir'; path: string }

/** As in recorder.c. */
const TYPES = [
  '', 'create', 'write', 'truncate', 'sync', 'rename', 'unlink', 'mkdir', 'rmdir', 'link',
] as const
const HEAD_BYTES = 48
/** SQLite's memory shared by readers: a mapping, rebuilt from the WAL. */
const REBUILT = /-shm$/

/** `file` tells files apart, also after a rename, as long as a number is not given anew. */
export function readTrace(log: string): Op[] {
  const bytes = readFileSync(log)
  const ops: Op[] = []
  for (let at = 0; at < bytes.length;) {
    const size = bytes.readUInt32LE(at)
    const pathEnd = at + HEAD_BYTES + bytes.readUInt32LE(at + 12)
    const otherEnd = pathEnd + bytes.readUInt32LE(at + 16)
    const path = bytes.toString('utf8', at + HEAD_BYTES, pathEnd)
    const to = bytes.toString('utf8', pathEnd, otherEnd)
    const file = `${bytes.readBigUInt64LE(at + 24)}:${bytes.readBigUInt64LE(at + 32)}`
    const number = Number(bytes.readBigUInt64LE(at + 40))
    const data = bytes.subarray(otherEnd, at + size)
    const type = TYPES[bytes.readUInt32LE(at + 4)]!
    at += size
    if (type === '' || REBUILT.test(path)) continue
    if (type === 'write') ops.push({ type, path, file, at: number, data })
    else if (type === 'truncate') ops.push({ type, path, file, size: number })
    else if (type === 'create' || type === 'sync') ops.push({ type, path, file })
    else if (type === 'rename' || type === 'link') ops.push({ type, path, to })
    else ops.push({ type, path })
  }
  return ops
}
