/**
 * Several "hosts" on one machine, for root: each has a network, host name, /etc/hosts, boot id and /dev/shm
 * of its own; a bridge in a further namespace joins them, and the machine's own network is never touched.
 *
 * Nothing of it has a name outside: a host is held by one shell that reads a pipe from this process. When the
 * pipe closes, whatever the reason, the shell kills what runs on its host, and the kernel drops the rest.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { begin, kill, type Started } from '../scenario/harness.ts'

/** Prints a line when the host stands; ends, and its processes with it, when the test closes the pipe. */
const HOLD = `
set -e
ip link set lo up
if [ "$1" ]; then
  hostname "$1"
  mount --bind "$2/hosts" /etc/hosts
  mount --bind "$2/boot-$1" /proc/sys/kernel/random/boot_id
  mount -t tmpfs -o size=2g tmpfs /dev/shm
fi
echo ready
read -r _ || true
own=$(readlink /proc/$$/ns/net)
for process in /proc/[0-9]*; do
  pid=\${process#/proc/}
  [ "$pid" = $$ ] || [ "$(readlink $process/ns/net)" != "$own" ] || kill -9 $pid || true
done 2>/dev/null
`
const HOLD_MS_MAX = 60_000

export interface Hosts {
  name(i: number): string
  ip(i: number): string
  /** Runs a program on host i. Its pid is the program's own, the same inside and outside. */
  start(i: number, argv: string[], env?: NodeJS.ProcessEnv, cwd?: string): Started
  /** Takes the host's cable out: `carrier` = the host sees it, `silent` = packets just vanish. */
  cut(i: number, how?: 'carrier' | 'silent'): void
  heal(i: number): void
  /** Its power goes for good: no packet leaves any more, all processes and its shared memory are gone. */
  lose(i: number): void
  /** Live processes of host i whose command line has this in it. */
  pids(i: number, needle?: string): number[]
  dispose(): void
}


function sh(...argv: string[]): void {
  const done = spawnSync(argv[0]!, argv.slice(1), { encoding: 'utf8' })
  if (done.status !== 0) throw new Error(`${argv.join(' ')}: ${done.error ?? done.stderr}`)
}

async function hold(name: string, files: string): Promise<ChildProcess> {
  const spaces = ['--net', '--uts', '--mount', '--propagation', 'private']
  // A shell that reads somebody's BASH_ENV first may take seconds.
  const env = { ...process.env, BASH_ENV: undefined }
  const holder = spawn('unshare', [...spaces, 'bash', '-c', HOLD, 'host', name, files], { env })
  let complaint = ''
  holder.stderr.on('data', (chunk) => {
    complaint += chunk
  })
  await new Promise<void>((done, fail) => {
    const timer = setTimeout(() => fail(new Error(`host ${name}: not up in ${HOLD_MS_MAX} ms`)), HOLD_MS_MAX)
    holder.stdout.once('data', done)
    holder.once('exit', () => fail(new Error(`host ${name} (are you root?): ${complaint}`)))
    holder.once('error', fail)
    void holder.once('exit', () => clearTimeout(timer)).stdout.once('data', () => clearTimeout(timer))
  })
  return holder
}

const inside = (holder: ChildProcess, ...argv: string[]): string[] =>
  ['nsenter', '--net', '--uts', '--mount', '--target', String(holder.pid), '--', ...argv]

/** Live processes in the network of this holder, itself left out. */
function tenants(holder: ChildProcess): { pid: number; cmd: string }[] {
  const network = (pid: string): string => readlinkSync(`/proc/${pid}/ns/net`)
  try {
    const own = network(String(holder.pid))
    return readdirSync('/proc').flatMap((pid) => {
      try {
        if (!/^\d+$/.test(pid) || Number(pid) === holder.pid || network(pid) !== own) return []
        return [{ pid: Number(pid), cmd: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') }]
      } catch {
        return [] // Gone between two looks, or a zombie.
      }
    })
  } catch {
    return [] // The host is gone.
  }
}

export async function hosts(count: number): Promise<Hosts> {
  const files = mkdtempSync(join(tmpdir(), 'rz-hosts-'))
  const name = (i: number): string => `h${i}`
  const ip = (i: number): string => `10.77.0.${i + 1}`
  const every = Array.from({ length: count }, (_, i) => i)
  const known = ['127.0.0.1 localhost', ...every.map((i) => `${ip(i)} ${name(i)}`)]
  writeFileSync(join(files, 'hosts'), `${known.join('\n')}\n`)
  for (const i of every) writeFileSync(join(files, `boot-${name(i)}`), `${randomUUID()}\n`)

  const held = await Promise.all(['', ...every.map(name)].map((host) => hold(host, files)))
  const [hub, ...machines] = held as [ChildProcess, ...ChildProcess[]]
  const lost = new Set<ChildProcess>()
  const link = (...args: string[]): void => sh(...inside(hub, 'ip', 'link', ...args))
  link('add', 'br0', 'type', 'bridge')
  link('set', 'br0', 'up')
  for (const i of every) {
    link('add', `v${i}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(machines[i]!.pid))
    link('set', `v${i}`, 'master', 'br0', 'up')
    sh(...inside(machines[i]!, 'ip', 'address', 'add', `${ip(i)}/24`, 'dev', 'eth0'))
    sh(...inside(machines[i]!, 'ip', 'link', 'set', 'eth0', 'up'))
  }
  return {
    name,
    ip,
    start: (i, argv, env = process.env, cwd = files) =>
      begin(inside(machines[i]!, ...argv), { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] }),
    cut: (i, how = 'carrier') => link('set', `v${i}`, ...(how === 'carrier' ? ['down'] : ['nomaster'])),
    heal: (i) => link('set', `v${i}`, 'up', 'master', 'br0'),
    lose: (i) => {
      link('set', `v${i}`, 'nomaster')
      for (const { pid } of tenants(machines[i]!)) kill(pid)
      machines[i]!.stdin!.end()
      lost.add(machines[i]!)
    },
    pids: (i, needle = '') =>
      tenants(machines[i]!).filter(({ cmd }) => cmd.includes(needle)).map(({ pid }) => pid),
    dispose: () => {
      // The pid of a holder that is gone may be anybody's by now.
      for (const { pid } of machines.filter((one) => !lost.has(one)).flatMap(tenants)) kill(pid)
      for (const holder of held) holder.stdin!.end()
      rmSync(files, { recursive: true, force: true })
    },
  }
}
