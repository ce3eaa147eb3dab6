/** `rankzero doctor --backend comet`: what would keep a run from its server. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Diagnosis } from '../../lib/cli/doctor/index.ts'
import type { Place } from '../scenario/harness.ts'
import { API_KEY, cometPlace } from './kit.ts'
import type { Knobs } from './knobs.ts'
import { spawnStandIn } from './process.ts'
import { startProxy, type Middle } from './proxy.ts'

let place: Place
let server: Awaited<ReturnType<typeof spawnStandIn>>
let middle: Middle | null = null
afterEach(async () => {
  place.dispose()
  middle?.close()
  await server.close()
})

async function begin(knobs: Partial<Knobs> = {}, env: NodeJS.ProcessEnv = {}): Promise<void> {
  server = await spawnStandIn({ knobs })
  place = cometPlace(server.url, env)
}

/** Its facts of the server, and findings of it as `level what: remedy`. */
async function ask(env: NodeJS.ProcessEnv = {}): Promise<{ facts: Record<string, unknown>; said: string[] }> {
  const done = await place.run(['doctor', '--backend', 'comet', '--json'], env)
  expect(done.code, done.stderr).toBe(0)
  expect(done.stdout).not.toContain(API_KEY)
  const { backends: [one], findings } = JSON.parse(done.stdout) as Diagnosis
  expect(findings).toEqual(expect.arrayContaining(one!.findings))
  return {
    facts: one!.facts,
    said: one!.findings.map(({ level, what, remedy }) => `${level} ${what}: ${remedy}`),
  }
}

describe('doctor --backend comet', () => {
  it('shows a server that is well, and makes nothing there', async () => {
    await begin()
    const { facts, said } = await ask({ COMET_PROJECT_NAME: 'digits' })
    expect(facts).toEqual({
      server: server.url, proxy: 'none', version: '4.40.0', key: 'valid', workspace: 'ws',
      project: 'digits', clockMs: 0, callsLeft: null,
    })
    expect(said).toEqual([expect.stringMatching(/^info comet: workspace ws has no project digits yet: /)])
    expect((await server.desk.log()).every(({ method }) => method === 'GET')).toBe(true)
    const text = (await place.run(['doctor', '--backend', 'comet,jsonl'])).stdout
    expect(text).toMatch(/^comet +server http:\S+, proxy none, version 4\.40\.0, key valid, .*, clock 0 ms$/m)
    const without = await place.run(['doctor', '--json'])
    expect((JSON.parse(without.stdout) as Diagnosis).backends).toEqual([])
    expect((await place.run(['doctor', '--backend', 'pigeon'])).code).toBe(2)
  })

  it('says what is wrong with key, workspace, clock and version', async () => {
    await begin({ dateSkewMs: -90_000, version: '1.2.9' })
    const { facts, said } = await ask({ COMET_WORKSPACE: 'none' })
    expect(facts).toMatchObject({ key: 'valid', version: '1.2.9' })
    expect(said).toEqual([
      expect.stringMatching(/^error comet: the server has version 1\.2\.9, and 1\.2\.78 is needed/),
      expect.stringMatching(/^error comet: the API key has no workspace none; it has ws: .*COMET_WORKSPACE/),
      expect.stringMatching(/^warning comet: the clock of the server is \d+ s behind ours.*: .*chrony$/),
    ])
    await server.desk.set({ dateSkewMs: 0, version: '4.40.0' })
    expect((await ask({ COMET_API_KEY: '' })).said)
      .toEqual([expect.stringMatching(/^error comet: COMET_API_KEY is not set where rankzero.*: set it/)])
    await server.desk.set({ keys: ['anotherKey0000000000000001'] })
    const refused = await ask()
    expect(refused.facts).toMatchObject({ key: 'refused' })
    expect(refused.said).toEqual([expect.stringMatching(/^error comet: the API key is refused: .*HTTP 401/)])
  })

  it('tells of calls that are left, or used up', async () => {
    const headers = { 'X-RateLimit-Remaining': '12' }
    await begin({ faults: [
      { match: 'v2/workspaces', kind: 'answer', status: 200, headers, body: '{"workspaceNames":["ws"]}' },
    ] })
    expect((await ask()).facts).toMatchObject({ callsLeft: 12, key: 'valid' })
    await server.desk.set({ faults: [{ match: 'v2/workspaces', kind: 'answer', status: 429 }] })
    const { facts, said } = await ask()
    expect(facts).toMatchObject({ key: 'not asked' })
    expect(said).toEqual([expect.stringMatching(/^warning comet: the calls of this API key are used up: /)])
  })

  it('comes to an end when nobody answers, or somebody else does', async () => {
    await begin({ faults: [{ match: 'isAlive', kind: 'answer', status: 200, body: '<html>Welcome</html>' }] })
    expect((await ask()).said)
      .toEqual([expect.stringMatching(/^error comet: \S+ does not answer as a Comet.*<html>.*: check/)])
    await server.desk.set({ faults: [{ match: 'isAlive', kind: 'hang' }] })
    expect((await ask()).said)
      .toEqual([expect.stringMatching(/^error comet: \S+ cannot be asked: .*: check/)])
    await server.desk.set({ down: true })
    expect((await ask()).said).toEqual([expect.stringMatching(/^error comet: .*ECONNREFUSED/)])
  })

  it('names the proxy without its credentials, and what it wants', async () => {
    await begin()
    middle = await startProxy('user:right')
    const at = `127.0.0.1:${middle.port}`
    const through = (password: string): NodeJS.ProcessEnv =>
      ({ HTTP_PROXY: `http://user:${password}@${at}`, http_proxy: '', NO_PROXY: '', no_proxy: '' })
    expect((await ask(through('right'))).facts).toMatchObject({ proxy: at, key: 'valid' })
    const { facts, said } = await ask(through('wrong'))
    expect(facts).toMatchObject({ proxy: at, version: null })
    expect(said).toEqual([expect.stringMatching(/^error .*407.*: the proxy wants other credentials: HTTPS/)])
    expect(said.join()).not.toContain('wrong')
  })
})
