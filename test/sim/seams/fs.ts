/** node:fs as the code under test sees it: the present process's files, each call a step where it may die. */
import { context, diskOf, me, step } from '../context.ts'
import { SystemError, type Disk, type File } from '../disk.ts'

interface Opened { disk: Disk; file: File | null; path: string }

const opened = new Map<number, Opened>()
let descriptors = 10_000

export function forgetAll(): void {
  opened.clear()
  descriptors = 10_000
}

function descriptor(fd: number): Opened & { file: File } {
  const found = opened.get(fd)
  if (found === undefined || found.file === null) throw new SystemError('EBADF', 'fd', String(fd))
  return found as Opened & { file: File }
}

export function openSync(path: string, how: string | number = 'r'): number {
  step()
  const flags = typeof how === 'number' ? ['r', 'w', 'r+'][how & 3]! : how
  const disk = diskOf(path)
  let file = disk.files.get(path) ?? null
  if (flags.includes('x') && disk.exists(path)) throw new SystemError('EEXIST', 'open', path)
  if (file === null && flags !== 'r' && flags !== 'r+') file = disk.create(path)
  if (file === null && !disk.directories.has(path)) throw new SystemError('ENOENT', 'open', path)
  opened.set(++descriptors, { disk, file, path })
  return descriptors
}

export function closeSync(fd: number): void {
  opened.delete(fd)
}

export function readSync(fd: number, to: Uint8Array, at: number, length: number, from: number): number {
  step()
  const { file } = descriptor(fd)
  const part = file.bytes.subarray(from, Math.min(file.size, from + length))
  to.set(part, at)
  return part.length
}

export function writeSync(fd: number, bytes: Uint8Array, from = 0): number {
  step()
  const { disk, file, path } = descriptor(fd)
  // Short writes are allowed, and a kill may come between them.
  const most = bytes.length - from > 64 ? Math.ceil((bytes.length - from) * 0.7) : bytes.length - from
  if (path.endsWith('.spool')) context().laws.spooled.set(path, { file, process: me() })
  return disk.append(file, bytes.subarray(from, from + most), path)
}

export function fsyncSync(fd: number): void {
  const world = step()
  const { disk, file, path } = opened.get(fd)!
  world.spend(disk.syncMs)
  if (file !== null) disk.sync(file, path)
}

export function ftruncateSync(fd: number, size: number): void {
  step()
  descriptor(fd).file.size = size
}

interface Facts {
  size: number
  uid: number
  ino: number
  mode: number
  isFile: () => boolean
  isDirectory: () => boolean
}

const factsOf = (file: File | null): Facts => ({
  size: file?.size ?? 0, uid: 1000, ino: 1, mode: file === null ? 0o700 : 0o600,
  isFile: () => file !== null, isDirectory: () => file === null,
})

export const fstatSync = (fd: number): Facts => factsOf(opened.get(fd)!.file)

export function statSync(path: string): Facts {
  step()
  if (path === '/proc/self/ns/pid') return factsOf(null)
  const disk = diskOf(path)
  const file = disk.files.get(path)
  if (file === undefined && !disk.directories.has(path)) throw new SystemError('ENOENT', 'stat', path)
  return factsOf(file ?? null)
}

export const existsSync = (path: string): boolean => diskOf(path).exists(path)

export function rmSync(path: string, options: { force?: boolean } = {}): void {
  step()
  if (!diskOf(path).files.delete(path) && options.force !== true) throw new SystemError('ENOENT', 'rm', path)
}

export const unlinkSync = (path: string): void => rmSync(path)

export function renameSync(from: string, to: string): void {
  const world = step()
  const disk = diskOf(from)
  const file = disk.files.get(from)
  if (file === undefined) throw new SystemError('ENOENT', 'rename', from)
  disk.files.delete(from)
  disk.files.set(to, file)
  if (to.endsWith('/status.json')) painted(to, file)
  void world
}

let painted: (path: string, file: File) => void = () => {}
export const whenPainted = (hook: typeof painted): void => { painted = hook }

export function mkdirSync(path: string, options: { recursive?: boolean } | number = {}): void {
  step()
  diskOf(path).makeDirectory(path, typeof options === 'object' && options.recursive === true)
}

export function rmdirSync(path: string): void {
  step()
  diskOf(path).removeDirectory(path)
}

export function readdirSync(path: string): string[] {
  step()
  return diskOf(path).list(path)
}

export function readFileSync(path: string, encoding?: string): string | Buffer {
  step()
  const bytes = diskOf(path).read(path)
  return encoding === undefined ? bytes : bytes.toString(encoding as 'utf8')
}

export function writeFileSync(path: string, text: string): void {
  step()
  const disk = diskOf(path)
  const file = disk.files.get(path) ?? disk.create(path)
  file.size = 0
  const bytes = Buffer.from(text)
  if (disk.append(file, bytes, path) < bytes.length) throw new SystemError('ENOSPC', 'write', path)
}

/** Only diaries are appended to: they tell the transcript. */
export function appendFileSync(path: string, text: string): void {
  const world = step()
  if (diskOf(path).full) throw new SystemError('ENOSPC', 'write', path)
  world.tell(me().name, `: ${text.slice(text.indexOf(']') + 2).trimEnd()}`)
}

export const statfsSync = (): object => ({ type: 0xef53, bavail: 2 ** 30, bsize: 4096, blocks: 2 ** 30 })
export const lstatSync = statSync
export const accessSync = (): void => {}
export { constants } from 'node:fs'
