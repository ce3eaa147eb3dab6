import { expect, test } from 'vitest'
import { Outlet } from '../../lib/launch/outlet.ts'
import { CONSOLE_QUEUE_BYTES } from '../../lib/limits-console.ts'

test('who is full is given up, but not one that took something meanwhile', () => {
  let taken: (written: number) => void = () => {}
  const events = { onRoom: () => {}, gap: (bytes: number) => `${bytes} left out` }
  const outlet = new Outlet((_, done) => { taken = (written) => done(null, written) }, events)
  outlet.write(new Uint8Array(2 * CONSOLE_QUEUE_BYTES))
  const begun = performance.now()
  taken(10)
  outlet.giveUp(begun - 1)
  expect(outlet.isFull).toBe(true)
  outlet.giveUp(performance.now() + 1)
  expect(outlet.isFull).toBe(false)
})
