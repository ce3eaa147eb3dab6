/**
 * Agent, system metrics: what the files of /proc say, as numbers and as rates between two readings. Pure.
 *
 * In: the texts. Out: readings, and values in the order of their names. A number that is not there is 0.
 */

/** Totals since boot, and levels, of one node. Bytes; `at` in ms. */
export interface NodeReading {
  at: number
  cpuBusy: number
  cpuAll: number
  load: number
  memory: number
  memoryAll: number
  rx: number
  tx: number
  read: number
  written: number
}

export const NODE_NAMES = [
  'sys/cpu', 'sys/load', 'sys/memory', 'sys/memory/total', 'sys/network/rx', 'sys/network/tx',
  'sys/disk/read', 'sys/disk/write',
]

/** Percent of all cores, runnable processes, bytes, bytes per second. */
export function nodeValues(before: NodeReading, now: NodeReading): number[] {
  const seconds = Math.max(0.001, (now.at - before.at) / 1000)
  const rate = (name: 'rx' | 'tx' | 'read' | 'written'): number =>
    Math.max(0, Math.round((now[name] - before[name]) / seconds))
  const all = now.cpuAll - before.cpuAll
  const busy = Math.min(1, Math.max(0, (now.cpuBusy - before.cpuBusy) / all))
  return [
    all > 0 ? percent(busy) : 0, now.load, now.memory, now.memoryAll, rate('rx'), rate('tx'), rate('read'),
    rate('written'),
  ]
}

/** A worker and its children; `ticks` with those of children that it has reaped, so that it never falls. */
export interface RankReading {
  at: number
  ticks: number
  rss: number
}

export const rankNames = (rank: number): string[] => [`sys/rank/${rank}/cpu`, `sys/rank/${rank}/rss`]

/** Clock ticks per second in /proc: USER_HZ, 100 on every Linux. */
const TICKS = 100

/** Percent of one core, bytes. */
export function rankValues(before: RankReading, now: RankReading): number[] {
  const seconds = Math.max(0.001, (now.at - before.at) / 1000)
  return [percent(Math.max(0, (now.ticks - before.ticks) / TICKS / seconds)), now.rss]
}

const percent = (part: number): number => Math.round(part * 1000) / 10

/** First line of /proc/stat; guest time is in user time already. */
export function cpuOf(stat: string): { busy: number; all: number } {
  const fields = stat.slice(0, stat.indexOf('\n')).trim().split(/\s+/).slice(1, 9).map(Number)
  const all = fields.reduce((sum, one) => sum + one, 0)
  return { busy: all - (fields[3] ?? 0) - (fields[4] ?? 0), all }
}

export function memoryOf(meminfo: string): { used: number; all: number } {
  const of = (name: string): number =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(meminfo)?.[1] ?? 0)
  const all = of('MemTotal')
  return { used: Math.max(0, all - of('MemAvailable')), all }
}

/** Sums of /proc/net/dev over the interfaces that count. */
export function networkOf(dev: string, counts: (name: string) => boolean): { rx: number; tx: number } {
  let rx = 0
  let tx = 0
  for (const line of dev.split('\n').slice(2)) {
    const [name = '', rest = ''] = line.split(':', 2)
    const fields = rest.trim().split(/\s+/).map(Number)
    if (fields.length < 9 || !counts(name.trim())) continue
    rx += fields[0]!
    tx += fields[8]!
  }
  return { rx, tx }
}

/** In /proc/diskstats, whatever the disk's own sectors are. */
const SECTOR_BYTES = 512

export function diskOf(
  diskstats: string, counts: (name: string) => boolean,
): { read: number; written: number } {
  let read = 0
  let written = 0
  for (const line of diskstats.split('\n')) {
    const fields = line.trim().split(/\s+/)
    if (fields.length < 10 || !counts(fields[2]!)) continue
    read += SECTOR_BYTES * Number(fields[5])
    written += SECTOR_BYTES * Number(fields[9])
  }
  return { read, written }
}

/** Of /proc/<pid>/stat; null when it is another process by now. */
export function ticksOf(stat: string, procStart: number | null): number | null {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (procStart !== null && Number(fields[19]) !== procStart) return null
  return [11, 12, 13, 14].reduce((sum, field) => sum + (Number(fields[field]) || 0), 0)
}

export const rssOf = (status: string): number => 1024 * Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0)

/** What `nvidia-smi` is asked for, and the names of the answer's columns after the first. */
export const GPU_QUERY = 'index,utilization.gpu,memory.used,memory.total,power.draw,temperature.gpu'
const GPU_NAMES = ['utilization', 'memory', 'memory/total', 'power', 'temperature']
const MIB = 2 ** 20

export interface GpuReading {
  names: string[]
  /** Percent, bytes, bytes, watts, degrees; NaN where the GPU does not say. */
  values: number[]
}

export function gpusOf(csv: string): GpuReading[] {
  const found: GpuReading[] = []
  for (const line of csv.split('\n')) {
    const [index = '', ...rest] = line.split(',').map((cell) => cell.trim())
    if (!/^\d+$/.test(index) || rest.length !== GPU_NAMES.length) continue
    const names = GPU_NAMES.map((name) => `sys/gpu/${index}/${name}`)
    const isMiB = (at: number): boolean => GPU_NAMES[at]!.startsWith('memory')
    const values = rest.map((cell, at) => (cell === '' ? NaN : Number(cell)) * (isMiB(at) ? MIB : 1))
    found.push({ names, values })
  }
  return found
}
