/** node:crypto as the code under test sees it: random bytes come from the seed. */
import { context } from '../context.ts'

export { createHash, createHmac, createPublicKey, hkdfSync, timingSafeEqual, verify } from 'node:crypto'
export const randomBytes = (n: number): Buffer => Buffer.from(context().world.random.hex(n), 'hex')
export const randomUUID = (): string =>
  context().world.random.hex(16).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
