/** lib/transport over net.ts instead of zeromq. */
import { RankzeroError } from '../../../lib/errors.ts'
import type { Dealer, DealerOptions } from '../../../lib/transport/dealer.ts'
import type { RunKeys } from '../../../lib/transport/keys.ts'
import type { Router, RouterOptions } from '../../../lib/transport/router.ts'
import { context, diskOf, me, step } from '../context.ts'

export const isLoopback = (host: string): boolean => host.startsWith('127.')

export function connectDealer(options: DealerOptions): Dealer {
  step()
  return context().net.connect(me(), options)
}

export async function bindRouter(options: RouterOptions): Promise<Router> {
  step()
  return context().net.bind(me(), options)
}

export const bindWide = (options: Omit<RouterOptions, 'host'> & { keys: RunKeys }): Promise<Router> =>
  bindRouter({ ...options, host: '::' })

/** The file's name stands for the secret in it. */
const keysAt = (path: string): RunKeys => ({ path } as unknown as RunKeys)

export function ensureKeys(path: string): RunKeys {
  step()
  const disk = diskOf(path)
  if (!disk.exists(path)) disk.create(path)
  return keysAt(path)
}

export function readKeys(path: string): RunKeys {
  step()
  if (diskOf(path).exists(path)) return keysAt(path)
  throw new RankzeroError('USAGE', `no run secret at ${path}`, 'give its path')
}

export const keysOf = (): never => { throw new Error('not here') }
