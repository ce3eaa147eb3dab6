/**
 * A Slurm of our own on one machine, for root: two "nodes" n1 and n2 of 4 processors each, on free ports,
 * with its state in a temporary folder. Up in a second, without systemd, cgroups or a database; `dispose`
 * ends its jobs and daemons.
 */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { kill, until } from '../scenario/harness.ts'

const UP_MS_MAX = 15_000
/** Between SIGTERM and SIGKILL when a step is cancelled (s); Slurm's own default is 30. */
export const KILL_WAIT_S = 5

export interface Slurm {
  /** What srun, sbatch and the others need in their environment. */
  env: NodeJS.ProcessEnv
  /** Runs one of Slurm's commands to its end. */
  ask(...argv: string[]): string
  dispose(): Promise<void>
}

const freePort = (): Promise<number> =>
  new Promise((done, fail) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => done(port))
    })
    server.on('error', fail)
  })

const configuration = (dir: string, [control, first, second]: number[]): string => `
ClusterName=rankzero
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=${control}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=${dir}/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
KillWait=${KILL_WAIT_S}
InactiveLimit=0
SlurmdParameters=config_overrides
StateSaveLocation=${dir}/state
SlurmctldPidFile=${dir}/slurmctld.pid
SlurmctldLogFile=${dir}/slurmctld.log
SlurmdSpoolDir=${dir}/%n
SlurmdLogFile=${dir}/%n.log
SlurmdPidFile=${dir}/%n.pid
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=${first} CPUs=4 RealMemory=2000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=${second} CPUs=4 RealMemory=2000
PartitionName=lab Nodes=n1,n2 Default=YES MaxTime=10 State=UP OverSubscribe=YES
`

function startMunge(dir: string): void {
  mkdirSync(join(dir, 'munge'), { mode: 0o700 })
  const file = (name: string): string => join(dir, 'munge', name)
  writeFileSync(file('key'), randomBytes(1024), { mode: 0o400 })
  const others = ['pid', 'seed', 'log'].map((name) => `--${name}-file=${file(name)}`)
  run(process.env, 'munged', '--force', `--key-file=${file('key')}`, `--socket=${file('socket')}`, ...others)
}

function run(env: NodeJS.ProcessEnv, ...argv: string[]): string {
  const PATH = `${env['PATH']}:/usr/sbin`
  const options = { env: { ...env, PATH }, encoding: 'utf8', timeout: UP_MS_MAX } as const
  const done = spawnSync(argv[0]!, argv.slice(1), options)
  if (done.status !== 0) throw new Error(`${argv.join(' ')}: ${done.error ?? done.stderr}`)
  return done.stdout.trim()
}

export async function slurm(): Promise<Slurm> {
  // In /tmp itself: the path of a socket has a hundred characters at most.
  const dir = mkdtempSync('/tmp/rz-slurm-')
  mkdirSync(join(dir, 'state'))
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  writeFileSync(join(dir, 'slurm.conf'), configuration(dir, ports))
  const env = { ...process.env, SLURM_CONF: join(dir, 'slurm.conf') }
  const ask = (...argv: string[]): string => run(env, ...argv)
  const pidFiles = ['n1.pid', 'n2.pid', 'slurmctld.pid', 'munge/pid']
  const dispose = async (): Promise<void> => {
    try {
      ask('scancel', '--user=root')
      await until('an empty queue', (KILL_WAIT_S + 5) * 1000, () => ask('squeue', '--noheader') === '')
    } catch {
      // What is left of the jobs is swept by the tag in its environment.
    }
    for (const file of pidFiles) kill(pidOf(join(dir, file)), 'SIGTERM')
    await until('the daemons to go', 60_000, () => pidFiles.every((file) => gone(pidOf(join(dir, file)))))
    rmSync(dir, { recursive: true, force: true })
  }
  try {
    startMunge(dir)
    ask('slurmctld', '-i')
    ask('slurmd', '-N', 'n1')
    ask('slurmd', '-N', 'n2')
    const idle = (): string => ask('sinfo', '--noheader', '--states=idle', '--format=%D')
    await until('two idle nodes', UP_MS_MAX, () => idle() === '2')
  } catch (error) {
    await dispose()
    throw error
  }
  return { env: { SLURM_CONF: env.SLURM_CONF }, ask, dispose }
}

function pidOf(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}

function gone(pid: number | undefined): boolean {
  try {
    return pid === undefined || /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return true
  }
}
