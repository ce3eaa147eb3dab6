/**
 * Provides what `npm test` needs beyond `npm install`: launchers by apt, Python parts in `.cache` of the
 * checkout. Without anything to do it is over in a second. Where it may not install system packages (it is
 * not root, or not on Debian) it says what to install, and ends with 1.
 * Tests may run meanwhile: stamps.js says what is there already.
 * What the commands print is in `.cache/provision.log`.
 */
import {
  accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs'
import { arch } from 'node:os'
import { join } from 'node:path'
import { relocate } from './relocate.js'
import { CACHE, LISTS, stampOf, VENV } from './stamps.js'
import { ask, keyOf, makeSteps } from './steps.js'

const here = import.meta.dirname
const python = join(VENV, 'bin/python')
const APT_MS = 300_000
/** 40 s by themselves; five minutes were seen beside twenty other processes. */
const PIP_MS = 900_000
const HOROVOD_MS = 1_200_000

/** A command, or a file, and the Debian package that has it. */
const SYSTEM = {
  'mpirun.openmpi': 'openmpi-bin', 'mpicc.openmpi': 'libopenmpi-dev', 'mpirun.mpich': 'mpich',
  'slurmctld': 'slurmctld', 'slurmd': 'slurmd', 'srun': 'slurm-client', 'munged': 'munge',
  'tinyproxy': 'tinyproxy', 'squid': 'squid-openssl',
  'ip': 'iproute2', 'iptables': 'iptables', 'nsenter': 'util-linux', 'ps': 'procps',
  'gcc': 'gcc', 'g++': 'g++', 'make': 'make', 'cmake': 'cmake', 'readelf': 'binutils', 'python3': 'python3',
}

function onPath(command) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin']
  return folders.some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function missingPackages() {
  const missing = Object.entries(SYSTEM).filter(([command]) => !onPath(command)).map(([, name]) => name)
  // A Python of one's own (pyenv) has both; Debian's has them in packages apart.
  const include = 'sysconfig.get_path("include") + "/Python.h"'
  const both = ask(`import ensurepip, sysconfig; open(${include}); print("both")`) === 'both'
  if (!existsSync(python) && !both) missing.push('python3-venv', 'python3-dev')
  return [...new Set(missing)]
}

// --- doing things, with their time and their output on record

const { run, step, whole } = makeSteps('provision', join(CACHE, 'provision.log'))

const apt = (packages) => step(`apt: ${packages.join(' ')}`, async () => {
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await run('apt-get', ['update', '-q'], APT_MS, { env })
  await run('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...packages], APT_MS, { env })
})

const pythonParts = () => step('Python parts (torch and others)', async () => {
  if (!existsSync(python)) await run('python3', ['-m', 'venv', VENV], PIP_MS)
  // Most of what pip would compile is never imported.
  const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-deps', '--no-compile']
  await run(python, [...pip, ...LISTS.flatMap((path) => ['-r', path])], PIP_MS)
})

const stubs = () => step('stubs for the CUDA libraries', async () => {
  await run(python, [join(here, 'cuda_stubs.py')], PIP_MS)
  // It loads; and what four ranks import at once is compiled by now.
  await run(python, ['-c', 'import torch._dynamo, torch.distributed.run'], PIP_MS)
})

const horovod = (wheels) => step('Horovod', async () => {
  const built = () => existsSync(wheels) && readdirSync(wheels).find((name) => name.endsWith('.whl'))
  if (!built()) await run(join(here, 'horovod.sh'), [VENV, wheels], HOROVOD_MS)
  await run(python, ['-m', 'pip', 'install', '--no-deps', join(wheels, built())], PIP_MS)
})

/** mpi4py's wheel asks for MPICH by the name of its ABI, which Debian has under another. */
function linkMpich() {
  const folder = join(CACHE, 'mpich')
  const triplet = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[arch()]
  mkdirSync(folder, { recursive: true })
  rmSync(join(folder, 'libmpi.so.12'), { force: true })
  symlinkSync(`/usr/lib/${triplet}/libmpich.so.12`, join(folder, 'libmpi.so.12'))
}

async function provide(packages) {
  for (const what of ['base', 'complete']) if (packages.length) rmSync(stampOf(what), { force: true })
  // Only a Python without venv has to wait for apt.
  const system = packages.length ? apt(packages) : Promise.resolve()
  if (packages.includes('python3-venv') || packages.includes('python3')) await system
  await Promise.all([system, pythonParts()])
  await stubs()
  linkMpich()
  stamp('base')
  const torch = readFileSync(LISTS[0], 'utf8').match(/^torch==.*$/m)[0]
  await horovod(join(CACHE, 'wheels', keyOf([join(here, 'horovod.sh')], torch)))
  stamp('complete')
}

/** Scripts are made to be found before anybody may start them. */
function stamp(what) {
  relocate(join(VENV, 'bin'))
  writeFileSync(stampOf(what), `${new Date().toISOString()}\n`)
}

// --- the whole

const packages = missingPackages()
const complete = existsSync(stampOf('complete'))
if (complete) relocate(join(VENV, 'bin'))
if (packages.length === 0 && complete) process.exit(0)

if (packages.length && !(process.getuid?.() === 0 && existsSync('/etc/debian_version'))) {
  console.error([
    `The tests with real launchers need these, by their names in Debian 12: ${packages.join(' ')}`,
    'Only root on Debian gets them installed from here. Install them and run `npm test` again,',
    'or run `npm run test:core`, which needs nothing more.',
  ].join('\n'))
  process.exit(1)
}
// For beside.js: from here on it takes minutes.
if (process.send) {
  process.send('begun')
  process.disconnect()
}
await whole(() => provide(packages))
