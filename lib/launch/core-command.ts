/**
 * What COMMAND is, read from its words: which launcher, on how many nodes, where they meet. Pure; COMMAND
 * itself is never rewritten.
 *
 * In: COMMAND's words, the environment (torchrun reads its options from PET_* too). Out: facts, or null.
 */
import type { Env } from '../rank/index.ts'

/** May stand before the launcher's own name. */
const BEFORE = new Set([
  'env', 'nice', 'ionice', 'nohup', 'numactl', 'taskset', 'timeout', 'time', 'stdbuf', 'setsid', 'chrt',
])
const LAUNCHERS = new Set([
  'torchrun', 'accelerate', 'deepspeed', 'composer', 'horovodrun', 'mpirun', 'mpiexec', 'orterun', 'prterun',
  'prun', 'srun', 'jsrun', 'aprun', 'flux', 'palsrun',
])
const MPI = new Set(['mpirun', 'mpiexec', 'orterun', 'prterun'])
/** They place ranks on nodes that a batch system gives them. */
const OF_BATCH = new Set(['srun', 'jsrun', 'aprun', 'flux', 'palsrun', 'prun'])
const PROGRAMS = new Set(['node', 'bash', 'sh', 'julia', 'java', 'Rscript', 'rankzero'])
const TORCH_MODULES = new Set(['torch.distributed.run', 'torch.distributed.launch'])

export interface LauncherCall {
  /** `torchrun` for its modules too; `mpirun.openmpi` counts as `mpirun`. */
  name: string
  /** Its arguments, and what follows them. */
  args: readonly string[]
}

/** The launcher that COMMAND calls directly; null for a script, whatever that may call. */
export function launcherOf(words: readonly string[]): LauncherCall | null {
  let at = 0
  // Words of a wrapper cannot be told from its command for sure; a launcher's name behind one is enough.
  if (BEFORE.has(base(words[0]))) at = words.findIndex((word) => isPython(word) || nameOf(word) !== null)
  const first = words[at]
  if (at < 0 || first === undefined) return null
  const name = nameOf(first)
  if (name !== null) return { name, args: words.slice(at + 1) }
  if (!isPython(first)) return null
  const rest = words.slice(at + 1)
  const script = rest.findIndex((word) => !/^-[bBdEiIOqsSuvx]+$/.test(word))
  if (rest[script] === '-m' && TORCH_MODULES.has(rest[script + 1] ?? '')) {
    return { name: 'torchrun', args: rest.slice(script + 2) }
  }
  const called = nameOf(rest[script] ?? '')
  return called === null ? null : { name: called, args: rest.slice(script + 1) }
}

const base = (word = ''): string => word.slice(word.lastIndexOf('/') + 1)
const isPython = (word: string): boolean => /^python[\d.]*$/.test(base(word))

function nameOf(word: string): string | null {
  const name = base(word).replace(/\.(openmpi|mpich|hydra|intel)$/, '')
  return LAUNCHERS.has(name) ? name : null
}

/** torchrun on several nodes, one on each. */
export interface TorchNodes {
  /** The smallest number of nodes that it goes on with. */
  nodes: number
  /** Null for `none`. */
  runId: string | null
  /** Where its agents meet; null: at a server that is none of the nodes. */
  endpoint: { host: string; port: string } | null
  /** This node's number, where it is given. */
  nodeRank: number | null
}

const FLAGS = new Set([
  'standalone', 'no-python', 'm', 'module', 'run-path', 'use-env', 'virtual-local-rank', 'h', 'help',
])
/** Its rendezvous is in one of the nodes, the one that the endpoint names. */
const OWN_BACKENDS = new Set(['static', 'c10d'])

/** Null: torchrun on this node alone. */
export function torchNodes(args: readonly string[], env: Env): TorchNodes | null {
  const given = torchOptions(args)
  const option = (name: string): string | undefined =>
    given.get(name) ?? (env[`PET_${name.toUpperCase().replaceAll('-', '_')}`] || undefined)
  const standalone = option('standalone')
  if (standalone !== undefined && standalone !== '0') return null
  const [min = '', max = min] = (option('nnodes') ?? '1').split(':')
  if (!/^\d{1,6}$/.test(min) || !/^\d{1,6}$/.test(max) || Number(max) < 2) return null
  const backend = option('rdzv-backend') ?? 'static'
  const own = option('rdzv-endpoint')
  const [host, port] = own !== undefined ? hostAndPort(own, '29400')
    : [option('master-addr') ?? '127.0.0.1', option('master-port') ?? '29500']
  const runId = option('rdzv-id') ?? 'none'
  const nodeRank = /^\d{1,6}$/.test(option('node-rank') ?? '') ? Number(option('node-rank')) : null
  const isHost = /(?:^|,)\s*is_host\s*=\s*(\w+)/.exec(option('rdzv-conf') ?? '')?.[1]
  const told = isHost === undefined ? null : /^(1|t|true|y|yes)$/i.test(isHost) ? 0 : 1
  return {
    nodes: Math.max(1, Number(min)), runId: runId === 'none' ? null : runId,
    endpoint: OWN_BACKENDS.has(backend) ? { host, port } : null,
    nodeRank: backend === 'static' ? nodeRank : told,
  }
}

/** Options before the script, `--nnodes=2`, `--nnodes 2` and `--rdzv_id x` alike; the last one counts. */
function torchOptions(args: readonly string[]): Map<string, string> {
  const found = new Map<string, string>()
  for (let i = 0; i < args.length; i++) {
    const match = /^--?([A-Za-z][\w-]*)(?:=(.*))?$/s.exec(args[i]!)
    if (match === null) break
    const name = match[1]!.replaceAll('_', '-')
    if (match[2] !== undefined) found.set(name, match[2])
    else if (FLAGS.has(name)) found.set(name, '1')
    else found.set(name, args[++i] ?? '')
  }
  return found
}

function hostAndPort(text: string, port: string): [string, string] {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text)
  return match === null ? [text, port] : [match[1] ?? match[2] ?? '', match[3] ?? port]
}


/**
 * One line for the user when COMMAND starts ranks on other hosts without our variables; null when it passes
 * them, or stays on this host. `inAllocation`: a batch system carries the environment.
 */
export function remoteHint(call: LauncherCall | null, inAllocation: boolean): string | null {
  if (call === null) return null
  if (call.name === 'srun' && valuesOf(call.args, ['--export']).some((list) => !/\bALL\b/.test(list))) {
    return 'srun --export without ALL leaves our variables (and PATH) out: write --export=ALL,NAME=VALUE'
  }
  if (call.name === 'deepspeed' && namesHosts(call.args)) {
    return 'deepspeed passes no RANKZERO_* variables to other hosts: write RANKZERO_RUN, RANKZERO_MEETING, '
      + 'RANKZERO_DIR and RANKZERO_SECRET_FILE as NAME=VALUE into .deepspeed_env'
  }
  const passes = inAllocation || call.args.some((word) => word.includes('RANKZERO_RUN'))
  if (!MPI.has(call.name) || passes || !namesHosts(call.args)) return null
  return `mpirun passes the environment to ranks of this host only; for the others add: `
    + ['RANKZERO_RUN', 'RANKZERO_MEETING', 'RANKZERO_DIR', 'RANKZERO_SECRET_FILE', 'PYTHONPATH']
      .map((name) => `-x ${name}`).join(' ')
}

/** Whether the launcher may start ranks on other hosts than this one. */
export function startsRemote(call: LauncherCall | null): boolean {
  return call !== null && (OF_BATCH.has(call.name) || (call.name !== 'torchrun' && namesHosts(call.args)))
}

/** A program's own words are not looked at, as far as its beginning can be told. */
function namesHosts(all: readonly string[]): boolean {
  const begins = (word: string): boolean =>
    isPython(word) || /\.(py|sh|js)$/.test(word) || PROGRAMS.has(base(word))
  const program = all.findIndex(begins)
  const args = program < 0 ? all : all.slice(0, program)
  const hosts = valuesOf(args, ['-H', '-host', '--host', '--hosts']).flatMap((list) => list.split(','))
  const far = hosts.some((host) => !/^(localhost|127\.[\d.]+|::1)(:\d+)?$/.test(host))
  return far || valuesOf(args, ['-hostfile', '--hostfile', '-machinefile', '--machinefile', '-f']).length > 0
}

function valuesOf(args: readonly string[], names: readonly string[]): string[] {
  return args.flatMap((word, i) => {
    const [name = '', value] = word.split('=', 2)
    return names.includes(name) ? [value ?? args[i + 1] ?? ''] : []
  })
}
