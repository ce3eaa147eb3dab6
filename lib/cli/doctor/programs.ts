/** Programs that a training job may need: launchers with their versions, Python with our client. */
import { execFile } from 'node:child_process'
import { existsSync, openSync, readSync, closeSync, realpathSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { pythonDir } from '../../launch/command.ts'
import { PROGRAM_ANSWER_MS } from '../../limits.ts'
import { ownVersion } from '../../package.ts'
import { LAUNCHER_NAMES, type Facts } from '../../rank/index.ts'
import type { Finding } from '../../backend/index.ts'

export interface Program {
  name: string
  path: string
  /** As the program gives it; null when it says nothing. */
  version: string | null
}

/** In the order in which they are shown. Of those that are Python scripts, their packages are asked. */
const LAUNCHERS: readonly { name: string; distribution?: string }[] = [
  { name: 'torchrun', distribution: 'torch' }, { name: 'accelerate', distribution: 'accelerate' },
  { name: 'deepspeed', distribution: 'deepspeed' }, { name: 'horovodrun', distribution: 'horovod' },
  { name: 'mpirun' }, { name: 'mpiexec' }, { name: 'mpirun.openmpi' }, { name: 'mpirun.mpich' },
  { name: 'srun' }, { name: 'jsrun' }, { name: 'flux' },
]

/** Launchers on PATH; one that has several names is named once. */
export async function findLaunchers(env: NodeJS.ProcessEnv): Promise<Program[]> {
  const seen = new Set<string>()
  const found = LAUNCHERS.flatMap(({ name, distribution }) => {
    const path = onPath(name, env)
    if (path === null || seen.has(realpathSync(path))) return []
    seen.add(realpathSync(path))
    return [{ name, path, distribution }]
  })
  return Promise.all(found.map(async ({ name, path, distribution }) => {
    const version = distribution === undefined ? versionIn(await answer(path, ['--version'], env))
      : await distributionVersion(path, distribution, env)
    return { name, path, version }
  }))
}

export function launcherFindings(launchers: readonly Program[]): Finding[] {
  return launchers.filter(({ version }) => version === null).map(({ name, path }) => {
    const what = `${name} (${path}) does not say its version: it may not work here`
    return { level: 'info', what, remedy: `if you mean to use it, try: ${name} --version` }
  })
}

/** The nearest launcher above us. */
export function launchedBy({ ancestors }: Facts): { name: string; pid: number } | null {
  const found = ancestors.find(({ name }) => LAUNCHER_NAMES.has(name))
  return found === undefined ? null : { name: found.name, pid: found.pid }
}

/** `mpirun (Open MPI) 4.1.4`, `slurm-wlm 22.05.8`, and for MPICH a line among its build details. */
function versionIn(text: string): string | null {
  const hydra = /HYDRA build details:\s+Version:\s+(\S+)/.exec(text)
  if (hydra !== null) return `MPICH ${hydra[1]}`
  const line = /^.*\d+\.\d+.*$/m.exec(text)?.[0].trim() ?? null
  return line === null ? null : line.replace(/^\S+ \((.+)\)/, '$1')
}

/** torchrun itself would import torch to say so, which takes seconds. */
async function distributionVersion(
  script: string, distribution: string, env: NodeJS.ProcessEnv,
): Promise<string | null> {
  const python = interpreterOf(script) ?? 'python3'
  const code = `import importlib.metadata as m; print(m.version('${distribution}'))`
  const version = (await answer(python, ['-c', code], env)).trim()
  return /^\d\S*$/.test(version) ? version : null
}

function interpreterOf(script: string): string | null {
  const head = Buffer.alloc(256)
  try {
    const fd = openSync(script, 'r')
    readSync(fd, head)
    closeSync(fd)
  } catch {
    return null
  }
  const path = /^#!(\S+)/.exec(head.toString('latin1'))?.[1] ?? ''
  return /python[\d.]*$/.test(path) && existsSync(path) ? path : null
}

export interface Python {
  path: string
  version: string
  /** Where `import rankzero` comes from without our help, with its version; null: nowhere. */
  client: { path: string; version: string } | null
}

const PYTHON_CODE = [
  'import sys', 'print(".".join(map(str, sys.version_info[:3])))',
  'try:', ' import rankzero', ' print(rankzero.__file__)', ' print(rankzero.__version__)',
  'except Exception:', ' pass',
].join('\n')

export async function findPython(env: NodeJS.ProcessEnv): Promise<Python | null> {
  const path = onPath('python3', env) ?? onPath('python', env)
  if (path === null) return null
  // `-B`: looking at our client must leave no files beside it.
  const said = await answer(path, ['-B', '-c', PYTHON_CODE], env)
  const [version = '', client, own = ''] = said.trim().split('\n')
  if (!/^\d+\.\d+/.test(version)) return null
  return { path, version, client: client === undefined ? null : { path: client, version: own } }
}

/** `adds`: `rankzero run` appends our client's directory to PYTHONPATH. */
export function pythonFindings(python: Python | null, adds: boolean): Finding[] {
  if (python === null) return []
  const { path, version, client } = python
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const found: Finding[] = []
  if (major < 3 || (major === 3 && minor < 8)) {
    const what = `${path} is Python ${version}; the Python client needs 3.8`
    found.push({ level: 'warning', what, remedy: 'put a newer python3 first on PATH' })
  }
  const dir = pythonDir()
  const install = dir === null ? 'pip install rankzero' : `pip install ${dir}`
  if (client === null) {
    const what = `import rankzero fails in ${path}`
    found.push(adds && dir !== null
      ? { level: 'info', what: `${what}, but works under rankzero run`, remedy: `without it: ${install}` }
      : { level: 'warning', what, remedy: install })
  } else if (client.version !== ownVersion()) {
    const what = `Python has rankzero ${client.version} (${client.path}), this is ${ownVersion()}`
    found.push({ level: 'warning', what, remedy: `use the same version everywhere: ${install}` })
  }
  return found
}

/** What it prints, '' when it fails or prints nothing in time. */
function answer(path: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve) => {
    const options = { env, timeout: PROGRAM_ANSWER_MS, killSignal: 'SIGKILL', maxBuffer: 2 ** 20 } as const
    try {
      execFile(path, args, options, (error, stdout, stderr) =>
        resolve(error !== null ? '' : stdout.trim() === '' ? stderr : stdout))
    } catch {
      resolve('')
    }
  })
}

function onPath(name: string, env: NodeJS.ProcessEnv): string | null {
  const places = (env['PATH'] ?? '').split(delimiter).map((dir) => join(dir || '.', name))
  return places.find((path) => existsSync(path)) ?? null
}
