/**
 * Provides what `npm test` needs beyond `npm install`: launchers by apt, Python parts in `.cache` of the
 * checkout. Without anything to do it is over in a second. Where it may not install system packages (it is
 * not root, or not on Debian) it says what to install, and ends with 1.
 * What the commands print is in `.cache/provision.log`.
 */
import {
  accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs'
import { arch } from 'node:os'
import { join, resolve } from 'node:path'
import { relocate } from './relocate.js'
import { ask, keyOf, makeSteps } from './steps.js'

const here = import.meta.dirname
const cache = resolve(here, '../../.cache')
const venv = join(cache, 'venv')
const python = join(venv, 'bin/python')
const APT_MS = 300_000
/** 40 s by themselves; five minutes were seen beside twenty other processes. */
const PIP_MS = 900_000
const HOROVOD_MS = 1_200_000
/** Of Python packages: what tests and launchers use, the type check, the vendor's client of test/comet. */
const LISTS = ['requirements.txt', 'requirements-types.txt', 'requirements-comet.txt']

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

const { run, step, whole } = makeSteps('provision', join(cache, 'provision.log'))

const apt = (packages) => step(`apt: ${packages.join(' ')}`, async () => {
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await run('apt-get', ['update', '-q'], APT_MS, { env })
  await run('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...packages], APT_MS, { env })
})

const pythonParts = () => step('Python parts (torch and others)', async () => {
  if (!existsSync(python)) await run('python3', ['-m', 'venv', venv], PIP_MS)
  const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-deps']
  await run(python, [...pip, ...LISTS.flatMap((name) => ['-r', join(here, name)])], PIP_MS)
})

const horovod = (wheels) => step('Horovod', async () => {
  const built = () => existsSync(wheels) && readdirSync(wheels).find((name) => name.endsWith('.whl'))
  if (!built()) await run(join(here, 'horovod.sh'), [venv, wheels], HOROVOD_MS)
  await run(python, ['-m', 'pip', 'install', '--no-deps', join(wheels, built())], PIP_MS)
})

/** mpi4py's wheel asks for MPICH by the name of its ABI, which Debian has under another. */
function linkMpich() {
  const folder = join(cache, 'mpich')
  const triplet = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[arch()]
  mkdirSync(folder, { recursive: true })
  rmSync(join(folder, 'libmpi.so.12'), { force: true })
  symlinkSync(`/usr/lib/${triplet}/libmpich.so.12`, join(folder, 'libmpi.so.12'))
}

async function provide(packages) {
  // Only a Python without venv has to wait for apt.
  const system = packages.length ? apt(packages) : Promise.resolve()
  if (packages.includes('python3-venv') || packages.includes('python3')) await system
  if (existsSync(stamp())) return await system
  await Promise.all([system, pythonParts()])
  await step('stubs for the CUDA libraries', () => run(python, [join(here, 'cuda_stubs.py')], PIP_MS))
  const torch = readFileSync(join(here, 'requirements.txt'), 'utf8').match(/^torch==.*$/m)[0]
  await horovod(join(cache, 'wheels', keyOf([join(here, 'horovod.sh')], torch)))
  linkMpich()
  relocate(join(venv, 'bin'))
  writeFileSync(stamp(), `${new Date().toISOString()}\n`)
}

const PARTS = [...LISTS, 'horovod.sh', 'cuda_stubs.py'].map((name) => join(here, name))
/** This file is there when all Python parts are. */
const stamp = () => join(venv, `complete-${keyOf(PARTS)}`)

// --- the whole

const packages = missingPackages()
if (existsSync(stamp())) relocate(join(venv, 'bin'))
if (packages.length === 0 && existsSync(stamp())) process.exit(0)

if (packages.length && !(process.getuid?.() === 0 && existsSync('/etc/debian_version'))) {
  console.error([
    `The tests with real launchers need these, by their names in Debian 12: ${packages.join(' ')}`,
    'Only root on Debian gets them installed from here. Install them and run `npm test` again,',
    'or run `npm run test:core`, which needs nothing more.',
  ].join('\n'))
  process.exit(1)
}
await whole(() => provide(packages))
