/** Places of the tests of one file, and what else goes when a test is over. */
import { afterEach } from 'vitest'
import { Place } from '../scenario/harness.ts'

export const cleanups: (() => void)[] = []
afterEach(() => { for (const clean of cleanups.splice(0)) clean() })

export function place(): Place {
  const made = new Place()
  cleanups.push(() => made.dispose())
  return made
}
