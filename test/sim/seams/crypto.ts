/** node:crypto as the code under test sees it: random bytes come from the seed. */
import { context } from '../context.ts'

export { createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
export const randomBytes = (n: number): Buffer => Buffer.from(context().world.random.hex(n), 'hex')
