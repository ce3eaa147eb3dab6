/** Ways to damage a file, each with a name that a failure shows. */
import { random } from '../scenario/harness.ts'

export interface Damage { name: string; bytes: Buffer }

/** Every byte of a small file; of a larger one all up to `head`, and others by seed, `count` in all. */
export function places(size: number, head: number, count: number, seed: number): number[] {
  if (size <= count) return Array.from({ length: size }, (_, i) => i)
  const next = random(seed)
  const chosen = new Set(Array.from({ length: Math.min(size, head) }, (_, i) => i))
  while (chosen.size < count) chosen.add(Math.floor(next() * size))
  return [...chosen].sort((a, b) => a - b)
}

/** One bit, or all of them, in turn: both are seen on real disks. */
export function* flips(bytes: Buffer, at: readonly number[]): Generator<Damage> {
  for (const [i, place] of at.entries()) {
    const mask = i % 3 === 2 ? 0xff : 1 << (i % 8)
    const damaged = Buffer.from(bytes)
    damaged[place]! ^= mask
    yield { name: `byte ${place} ^ ${mask}`, bytes: damaged }
  }
}

export function* cuts(bytes: Buffer, at: readonly number[]): Generator<Damage> {
  for (const length of at) yield { name: `cut to ${length} bytes`, bytes: bytes.subarray(0, length) }
}

/** Zeroed sectors and pages, and all of it. */
export function* zeros(bytes: Buffer, step: number): Generator<Damage> {
  for (let at = 0; at < bytes.length; at += step) {
    const damaged = Buffer.from(bytes)
    damaged.fill(0, at, Math.min(at + step, bytes.length))
    yield { name: `zeros at ${at}, ${step} bytes`, bytes: damaged }
  }
  yield { name: 'zeros', bytes: Buffer.alloc(bytes.length) }
}
