import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { winRun } from '../../lib/aggregator/open.ts'

const MEETING = 'a5'.repeat(16)
let parent: string
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'rz-open-'))
})
afterEach(() => rmSync(parent, { recursive: true }))

const options = (): Parameters<typeof winRun>[0] =>
  ({ meeting: MEETING, run: null, fresh: false, parent, lockDir: join(parent, '.locks') })

/** A run of this meeting that has ended then. */
function ended(meeting: string, endedAt: number): string {
  const run = `20260101-000000.000-${meeting.slice(0, 6)}`
  const dir = join(parent, run)
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'endpoint.json'), JSON.stringify({ meeting }))
  writeFileSync(join(dir, 'status.json'), JSON.stringify({ endedAt }))
  return run
}

test('one that wins after the run of its meeting was served begins no other', () => {
  ended(MEETING, Date.now())
  expect(winRun(options())).toBeNull()
  // The election is free again, and who was asked for a new run begins one all the same.
  const won = winRun({ ...options(), fresh: true })
  expect(won).toMatchObject({ meeting: MEETING, ledger: null })
  won!.election.release()
})

test('a run that ended before this process began, or of another meeting, does not count', () => {
  ended(MEETING, Date.now() - process.uptime() * 1000 - 60_000)
  ended('b6'.repeat(16), Date.now())
  const won = winRun(options())
  expect(won).not.toBeNull()
  won!.election.release()
})

test('one that was started for a run takes it up again only if it ended before that, or for `sync`', () => {
  const run = ended(MEETING, Date.now())
  expect(winRun({ ...options(), run })).toBeNull()
  const closing = winRun({ ...options(), run, closing: true })
  expect(closing).toMatchObject({ run })
  closing!.election.release()
  ended(MEETING, Date.now() - process.uptime() * 1000 - 60_000)
  const resumed = winRun({ ...options(), run })
  expect(resumed).toMatchObject({ run })
  resumed!.election.release()
})
