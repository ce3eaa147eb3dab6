/** lib/journal/process.ts: who lives, by pid and start time, as /proc of the present node says it. */
import type { Origin } from '../../../lib/record/index.ts'
import { context, me } from '../context.ts'

export function procStart(pid: number): number {
  const process = context().world.processes.get(pid)
  const seen = process !== undefined && process.node === me().node && !process.reaped
  return seen ? process.started : 0
}

export const pidNamespace = (): number => 1
export const bootId = (): string => me().node.bootId

export function livesAs(origin: Origin): boolean {
  if (origin.bootId !== bootId()) return origin.node !== me().node.name
  return context().world.processes.get(origin.pid)?.alive === true
}

export const temporarySuffix = (): string => '.tmp'
export const sweep = (): void => {}
export const makeDirectory = (): void => {}
export const removeFile = (): void => {}
