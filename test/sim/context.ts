/** The world that the seams speak to: one at a time, set by the runner. */
import type { Disk } from './disk.ts'
import type { Net } from './net.ts'
import type { Laws } from './laws.ts'
import type { Process, World } from './world.ts'

export interface Context { world: World; net: Net; laws: Laws }

let present: Context | null = null

export const enter = (context: Context | null): void => { present = context }

export const isInside = (): boolean => present !== null

export function context(): Context {
  if (present === null) throw new Error('outside of a simulation')
  return present
}

/** Of the process that runs now. */
export function me(): Process {
  const { current } = context().world
  if (current === null) throw new Error('no process runs now')
  return current
}

/** One call that reaches outside: the process may be killed here. */
export function step(): World {
  const { world } = context()
  world.step()
  return world
}

export function diskOf(path: string): Disk {
  const { world } = context()
  const { node } = me()
  if (path.startsWith('/shared')) return world.shared
  return path.startsWith('/dev/shm') ? node.shm : node.disk
}
