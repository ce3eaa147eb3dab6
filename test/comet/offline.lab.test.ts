/** Archives by the vendor's own `comet upload`: the SDK's arrives whole; what is refused, what is lost. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Ended } from '../scenario/harness.ts'
import { LAB_MS, meet, sdk, upload, type Meeting } from './vendor.ts'
import { WHOLE, wholeOf } from './whole.ts'

const KEY = 'b'.repeat(40)
const STARTED = 1_795_425_226_342
const STOPPED = STARTED + 60_000

const metric = (step: number, more: object = {}): object => ({
  type: 'metric_msg',
  payload: { local_timestamp: STARTED + step, metric: { metricName: 'm', metricValue: step, step, ...more } },
})

/** An archive by comet-wire.md 6; its path. */
function archive({ dir }: Meeting, lines: object[], head: object = {}): string {
  const about = {
    offline_id: KEY, project_name: 'proj', workspace: 'ws', start_time: STARTED, stop_time: STOPPED,
    tags: ['t'], resume_strategy: 'get_or_create', ...head,
  }
  writeFileSync(join(dir, 'experiment.json'), JSON.stringify(about))
  writeFileSync(join(dir, 'messages.json'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  const args = ['-m', 'zipfile', '-c', 'a.zip', 'experiment.json', 'messages.json']
  expect(spawnSync('python3', args, { cwd: dir }).status).toBe(0)
  return join(dir, 'a.zip')
}

const told = ({ stdout, stderr }: Ended): string => stdout + stderr
const LINES = Array.from({ length: 31 }, (_, step) => metric(step))

describe.concurrent('comet upload', { timeout: LAB_MS }, () => {
  it('of an OfflineExperiment: all of it arrives', () => meet({}, async (standIn, meeting) => {
    const made = await sdk(meeting, 'sdk_whole.py', 'offline', KEY)
    expect(made.code, made.stderr).toBe(0)
    expect(standIn.desk.log()).toEqual([])
    const sent = await upload(meeting, join(meeting.dir, `${KEY}.zip`))
    expect(sent.code, told(sent)).toBe(0)
    expect(standIn.desk.log().filter(({ status }) => status !== 200)).toEqual([])
    expect(wholeOf(standIn.desk, KEY)).toMatchObject({ ...WHOLE, via: 'sdk', offline: true })
  }))

  it('get_or_create: made, with the times of the archive; the second time it goes on', () =>
    meet({}, async (standIn, meeting) => {
      const zip = archive(meeting, LINES)
      expect((await upload(meeting, zip)).code).toBe(0)
      const first = { startMs: STARTED, endMs: STOPPED, state: 'ended', metrics: { m: 31 }, resumed: 0 }
      expect(standIn.desk.experiment(KEY)).toMatchObject(first)
      expect((await upload(meeting, zip)).code).toBe(0)
      expect(standIn.desk.experiment(KEY)).toMatchObject({ metrics: { m: 62 }, resumed: 1, tags: ['t'] })
      expect(standIn.desk.experiments()).toHaveLength(1)
    }))

  it('create: refused where the key exists; so is a key that is too short', () =>
    meet({}, async (standIn, meeting) => {
      const zip = archive(meeting, LINES, { resume_strategy: 'create' })
      expect((await upload(meeting, zip)).code).toBe(0)
      const again = await upload(meeting, zip)
      expect([again.code, told(again).includes('already uploaded')]).toEqual([1, true])
      expect((await upload(meeting, archive(meeting, LINES, { offline_id: 'short' }))).code).toBe(1)
      expect(standIn.desk.experiments().map(({ metrics }) => metrics)).toEqual([{ m: 31 }])
    }))

  it('a metric that is not valid takes all later ones with it, and the exit status says nothing', () =>
    meet({}, async (standIn, meeting) => {
      const lines = [...LINES.slice(0, 5), metric(5, { rank: 1 }), ...LINES.slice(6)]
      const sent = await upload(meeting, archive(meeting, lines))
      expect([sent.code, told(sent).includes('Done!')]).toEqual([0, true])
      expect(standIn.desk.experiment(KEY)!.metrics['m'] ?? 0).toBeLessThan(6)
    }))

  it('a batch that meets 429 is lost, and the exit status says nothing', () => {
    const faults = [{ match: 'experiment/metric', kind: 'answer', status: 429, times: 1 } as const]
    return meet({ faults }, async (standIn, meeting) => {
      expect((await upload(meeting, archive(meeting, LINES))).code).toBe(0)
      expect(standIn.desk.experiment(KEY)!.metrics).toEqual({ m: 30 })
    })
  })
})
