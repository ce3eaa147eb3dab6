import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { bundled, simulate } from './kit.ts'
import { MUTATIONS } from './mutations.ts'

/** Seeds that a mutation may live through: most die within ten. */
const SEEDS_MAX = 400

test('the list is long enough, and names nothing twice', () => {
  expect(MUTATIONS.length).toBeGreaterThanOrEqual(25)
  expect(new Set(MUTATIONS.map(({ what }) => what)).size).toBe(MUTATIONS.length)
})

test.each(MUTATIONS)('$file: $what', async (mutation) => {
  const file = await bundled(mutation)
  try {
    const { violation } = simulate(file, '--seeds', String(SEEDS_MAX), '--knobs', mutation.knobs.join(','))
    expect(violation, 'no law is broken: it survives').not.toBeNull()
    expect(mutation.laws, violation!.message).toContain(violation!.law)
  } finally {
    rmSync(dirname(file), { recursive: true, force: true })
  }
}, 600_000)
