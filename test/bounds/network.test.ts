/** A network that drops what is sent: names that nobody resolves, a MASTER_ADDR of nobody, a cut cable. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { DAEMON_READY_MS, HOST_LOOKUP_MS } from '../../lib/limits.ts'
import { sleep, until } from '../scenario/harness.ts'
import { TwoHosts } from '../scenario/two-hosts.ts'
import { expectWithin, NODE_TRAINER, SLACK_MS } from './kit.ts'

let two: TwoHosts
afterEach(() => two?.dispose())

const EXIT_MS = 2000
const ENV = { RANKZERO_EXIT_TIMEOUT: String(EXIT_MS / 1000) }
const JOB = { shared: false, metrics: 2, steps: 200, rate: 100, env: ENV }
const RANKS = { RANK: '1', WORLD_SIZE: '2', LOCAL_RANK: '0', LOCAL_WORLD_SIZE: '1', MASTER_PORT: '29511' }

/** Listens where the resolver asks, and never answers. */
const SILENT_DNS = `
import socket, time
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.bind(("127.0.0.1", 53))
print("ready", flush=True)
time.sleep(600)
`

it.each([
  ['a name that nobody resolves', 'head.nowhere.example'],
  // A neighbour with an address of the wire that nobody has: packets go out and vanish.
  ['an address where nobody is', '10.77.0.99'],
])('%s as MASTER_ADDR: start and end are bounded', async (_, MASTER_ADDR) => {
  two = await TwoHosts.make(JOB, 1)
  const resolver = join(two.place.root, 'resolv.conf')
  writeFileSync(resolver, 'nameserver 127.0.0.1\n')
  const mount = `mount --bind ${resolver} "$(readlink -f /etc/resolv.conf)"`
  const neighbour = 'ip neigh replace 10.77.0.99 lladdr 02:00:00:00:00:99 dev eth0'
  const set = await two.net.start(0, ['bash', '-c', `${mount} && ${neighbour}`]).ended
  expect(set.code, set.stderr).toBe(0)
  const dns = two.net.start(0, ['python3', '-c', SILENT_DNS])
  await sleep(1000)
  const cli = [process.execPath, two.place.cli]
  const env = { ...two.envOf(0), ...RANKS, MASTER_ADDR, T_STEPS: '20' }
  const [run, alone, doctor] = await Promise.all([
    two.net.start(0, [...cli, 'run', '--', ...NODE_TRAINER], env).ended,
    two.net.start(0, NODE_TRAINER, { ...env, RANK: '2', WORLD_SIZE: '3' }).ended,
    two.net.start(0, [...cli, 'doctor'], env).ended,
  ])
  dns.child.kill('SIGKILL')
  const told = run.stderr + alone.stderr + doctor.stderr
  expect([run.code, alone.code, doctor.code], told).toEqual([0, 0, 0])
  expectWithin(run, HOST_LOOKUP_MS + DAEMON_READY_MS + EXIT_MS)
  expectWithin(alone, EXIT_MS)
  expectWithin(doctor, SLACK_MS)
})

it('a cable that is cut in mid-run: ranks of the other node end in time, and lose nothing', async () => {
  two = await TwoHosts.make({ ...JOB, steps: 800 })
  two.start(0, 0)
  two.start(1, 2)
  await until('all ranks at the head', 60_000, () =>
    two.place.runs().length === 1 && two.place.picture()?.members.length === 4)
  two.net.cut(1, 'silent')
  const cutAt = performance.now()
  await two.finished()
  expect(performance.now() - cutAt).toBeLessThan(1000 * two.job.steps / JOB.rate + EXIT_MS + SLACK_MS)
  two.net.heal(1)
  await two.expectWhole()
}, 180_000)
