/** Another user of the machine can connect to 127.0.0.1: the head takes nothing from there without a key. */
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Dealer, Router } from 'zeromq'
import type { Endpoint } from '../../lib/record/run-status.ts'
import { encodeFrame, PROTOCOL_VERSION, type Bodies } from '../../lib/wire/index.ts'
import { TRAINER, sleep, until, type Place } from '../scenario/harness.ts'
import { cleanups, place } from './kit.ts'

async function live(at: Place): Promise<{ endpoint: Endpoint; job: ReturnType<Place['start']> }> {
  const env = { T_METRICS: '2', T_RATE: '100', ...at.endless }
  const job = at.start(['run', '--nproc', '2', '--', process.execPath, TRAINER], env)
  const name = await until('a meeting file', 60_000, () =>
    lockFiles(at).find((one) => /^meet-.*json$/.test(one)))
  const endpoint = JSON.parse(readFileSync(join(at.locks, name), 'utf8')) as Endpoint
  return { endpoint, job }
}

function lockFiles(at: Place): string[] {
  try {
    return readdirSync(at.locks)
  } catch {
    return []
  }
}

function hello(meeting: string): Uint8Array {
  const origin: Bodies['HELLO']['instances'][0]['origin'] = {
    instance: 'ab'.repeat(16), meeting, run: null, role: 'worker', rank: 7, worldSize: 8, localRank: 7,
    node: 'x', bootId: '', pidns: 1, pid: 1, procStart: 1, startedAt: 1, dir: '/', cli: '[]',
  }
  return encodeFrame('HELLO', 0, {
    agent: 'ab', host: 'x', pid: 1, run: null, meeting, protocol: PROTOCOL_VERSION, sentAt: 0,
    instances: [{ origin, first: 1, next: 1, logged: 0, ledger: null }],
  })
}

it('a stranger who knows port and meeting is neither heard nor answered; its knock is counted', async () => {
  const at = place()
  const { endpoint, job } = await live(at)
  const [secret] = lockFiles(at).filter((one) => one === `meet-${endpoint.meeting}.secret`)
  expect(statSync(join(at.locks, secret!)).mode & 0o777).toBe(0o600)
  const stranger = new Dealer({ linger: 0, receiveTimeout: 4000, sendTimeout: 4000 })
  cleanups.push(() => stranger.close())
  stranger.connect(`tcp://127.0.0.1:${endpoint.port}`)
  await stranger.send(hello(endpoint.meeting)).catch(() => {})
  await expect(stranger.receive()).rejects.toThrow()
  await until('the count', 60_000, () => (at.picture()?.denied ?? 0) > 0)
  at.stop()
  expect((await job.ended).code).toBe(0)
  expect(at.status()).toMatchObject({ status: 'finished', ranks: 2 })
  expect(at.points().length).toBe(2 * (at.steps(0) + at.steps(1)))
  expect(lockFiles(at).filter((one) => one.startsWith('meet-')), 'goes with the run').toEqual([])
})

it('who takes the port of a dead head hears nothing of what the agent has to say', async () => {
  const at = place()
  const { endpoint, job } = await live(at)
  const heard: string[] = []
  const impostor = new Router({ linger: 0 })
  cleanups.push(() => impostor.close())
  process.kill(endpoint.pid, 'SIGKILL')
  await until('the port', 60_000, () => {
    try {
      impostor.bindSync(`tcp://127.0.0.1:${endpoint.port}`)
      return true
    } catch {
      return false
    }
  })
  void (async () => { for await (const parts of impostor) heard.push(parts.map(String).join(' ')) })()
  await until('another head', 60_000, () => at.processes('aggregator')[0])
  await until('steps of both', 60_000, () => [0, 1].every((rank) => at.steps(rank) > 50))
  at.stop()
  expect((await job.ended).code).toBe(0)
  await sleep(100)
  expect(heard).toEqual([])
  await until('the end', 60_000, () => at.picture()?.state === 'ended')
  expect(at.points().length).toBe(2 * (at.steps(0) + at.steps(1)))
})
