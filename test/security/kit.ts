/** Places of the tests of one file, and what else goes when a test is over; where a secret is looked for. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect } from 'vitest'
import { Place } from '../scenario/harness.ts'

export const cleanups: (() => void)[] = []
afterEach(() => { for (const clean of cleanups.splice(0)) clean() })

export function place(): Place {
  const made = new Place()
  cleanups.push(() => made.dispose())
  return made
}

export interface Found { path: string; bytes: Buffer }

/** Every file below, with what it holds; what vanishes meanwhile is left out. */
export function filesBelow(dir: string): Found[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).flatMap((name) => {
    const path = join(dir, name)
    try {
      return statSync(path).isFile() ? [{ path, bytes: readFileSync(path) }] : []
    } catch {
      return []
    }
  })
}

/** What /proc shows of all processes: command lines to everybody, environments to their user. */
export function processes(): Found[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) =>
    ['cmdline', 'environ'].flatMap((part) => {
      try {
        const path = `/proc/${pid}/${part}`
        return [{ path, bytes: readFileSync(path) }]
      } catch {
        return []
      }
    }))
}

/** Paths of what holds one of these. */
export const holding = (forms: readonly Buffer[], places: readonly Found[]): string[] =>
  places.filter(({ bytes }) => forms.some((form) => bytes.includes(form))).map(({ path }) => path)

export function expectNowhere(forms: readonly Buffer[], places: readonly Found[]): void {
  expect(holding(forms, places)).toEqual([])
}
