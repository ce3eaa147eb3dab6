import { existsSync } from 'node:fs'
import { afterEach, expect, it } from 'vitest'
import { until } from '../scenario/harness.ts'
import { hosts, type Hosts } from './netns.ts'

let net: Hosts
afterEach(() => net?.dispose())

const say = async (i: number, script: string): Promise<string> => {
  const { code, stdout, stderr } = await net.start(i, ['bash', '-c', script]).ended
  return code === 0 ? stdout.trim() : `status ${code}: ${stderr}`
}
/** Whether host 0 gets an answer from host 1. */
const reaches = async (): Promise<boolean> =>
  (await say(0, `timeout 0.3 bash -c 'read -r line < /dev/tcp/h1/7000 && echo $line'`)) === 'hello'

async function reachesAgain(): Promise<void> {
  for (let tries = 0; !(await reaches()); tries++) expect(tries).toBeLessThan(20)
}

it('hosts have a name, boot id and shared memory of their own, and can be cut off', async () => {
  net = await hosts(2)
  const known = '127.0.0.1 localhost\n10.77.0.1 h0\n10.77.0.2 h1'
  expect(await say(0, 'hostname; cat /etc/hosts')).toBe(`h0\n${known}`)
  const boot = 'cat /proc/sys/kernel/random/boot_id'
  expect(await say(0, boot)).not.toBe(await say(1, boot))
  await say(0, 'touch /dev/shm/rz-here')
  expect(await say(1, 'ls /dev/shm')).toBe('')

  const serve = `require('net').createServer((s) => s.end('hello\\n')).listen(7000, '0.0.0.0')`
  const server = net.start(1, [process.execPath, '-e', serve])
  await until('a server', 5000, () => net.pids(1, 'createServer').includes(server.child.pid!))
  await reachesAgain()
  for (const how of ['carrier', 'silent'] as const) {
    net.cut(1, how)
    expect(await reaches()).toBe(false)
    expect((await say(1, 'ip link show eth0')).includes('NO-CARRIER')).toBe(how === 'carrier')
    net.heal(1)
    await reachesAgain()
  }

  // A daemon that left its parent goes with its host.
  await say(1, 'setsid sleep 4321 > /dev/null 2>&1 &')
  const [daemon] = net.pids(1, 'sleep 4321')
  expect(daemon).toBeDefined()
  net.dispose()
  expect((await server.ended).signal).toBe('SIGKILL')
  await until('the daemon to go', 5000, () => !existsSync(`/proc/${daemon}/exe`))
})
