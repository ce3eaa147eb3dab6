/**
 * Beside whom rankzero is measured, as data. How each is configured, and why so, is in README.md.
 *
 * `file` is that of peers/; `needs` says what install.js must have brought (nothing, the virtual environment,
 * the packages of Node); `package` is what its version is read from; `wrap` comes before the trainer's
 * command and starts all ranks; `network`: it needs a server, and is for trials without one; `keeps`: whether
 * every point is kept, so that points can be counted; `stepsMax`: what it takes at once it must also finish.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { BENCH_PYTHON, CLI, benchPath } from './kit.js'

const supervised = (world) => (
  [process.execPath, CLI, 'run', '--nproc', String(world), '--console', 'raw', '--'])
/** Its session goes to a Comet that is not there. */
const toComet = (world) => supervised(world).with(-1, '--backend').concat('comet', '--')
const OURS = { title: 'rankzero', file: 'rankzero', wrap: supervised, daemons: true, keeps: true }

export const PEERS = [
  { name: 'none', title: 'nothing (the loop itself)', language: 'python', file: 'none' },
  { name: 'rankzero', language: 'python', ...OURS },
  { name: 'jsonl', title: 'JSON lines', language: 'python', file: 'jsonl', keeps: true },
  { name: 'logging', title: 'logging', language: 'python', file: 'logs', keeps: true },
  ...[
    { name: 'tensorboardX', file: 'tensorboardx', package: 'tensorboardX', keeps: true },
    {
      name: 'torch-tensorboard', title: "torch's SummaryWriter", file: 'tensorboard', package: 'torch',
      keeps: true,
    },
    { name: 'wandb', title: 'wandb, offline', file: 'wandb_offline', package: 'wandb', keeps: true },
    { name: 'comet', title: 'comet_ml, offline', file: 'comet_offline', package: 'comet_ml', keeps: true },
    {
      name: 'mlflow', title: 'mlflow, sqlite, async', file: 'mlflow_sqlite', package: 'mlflow', keeps: true,
      stepsMax: 400,
    },
    { name: 'trackio', title: 'trackio, local', file: 'trackio_local', package: 'trackio', keeps: true },
    { name: 'aim', title: 'Aim, local', file: 'aim_local', package: 'aim', keeps: true },
    {
      name: 'prometheus', title: 'prometheus_client, multiprocess', file: 'prometheus',
      package: 'prometheus_client',
    },
    { name: 'allreduce', title: 'torch all-reduce, gloo', file: 'allreduce', package: 'torch' },
    { name: 'wandb-online', file: 'wandb_online', package: 'wandb', network: true },
    { name: 'wandb-shared', file: 'wandb_shared', package: 'wandb', network: true },
    { name: 'comet-online', file: 'comet_online', package: 'comet_ml', network: true },
    { name: 'mlflow-http', file: 'mlflow_http', package: 'mlflow', network: true },
  ].map((peer) => ({ title: peer.name, language: 'python', needs: 'venv', ...peer })),
  {
    ...OURS, name: 'rankzero-comet', title: 'rankzero to Comet', language: 'python', wrap: toComet,
    keeps: false, network: true, env: (url) => ({ COMET_URL_OVERRIDE: url, COMET_API_KEY: 'bench' }),
  },
  ...[
    { name: 'node-none', title: 'nothing (the loop itself)', file: 'none' },
    { name: 'node-rankzero', ...OURS },
    { name: 'node-jsonl', title: 'JSON lines', file: 'jsonl', keeps: true },
    {
      name: 'node-pino', title: 'pino, asynchronous', file: 'pino', needs: 'npm', package: 'pino',
      keeps: true,
    },
    {
      name: 'node-opentelemetry', title: 'OpenTelemetry metrics', file: 'opentelemetry', needs: 'npm',
      package: '@opentelemetry/sdk-metrics',
    },
    { name: 'node-zeromq', title: 'ZeroMQ push', file: 'zeromq', keeps: true },
  ].map((peer) => ({ language: 'node', ...peer })),
]

export function peerNamed(name) {
  const peer = PEERS.find((each) => each.name === name)
  if (!peer) throw new Error(`no peer is named ${name}: ${PEERS.map((each) => each.name).join(', ')}`)
  return peer
}

/** Whether install.js has brought `venv` or `npm`; nothing is always there. */
export function hasParts(needs) {
  const folder = { venv: dirname(dirname(BENCH_PYTHON)), npm: benchPath('node_modules') }[needs]
  if (folder === undefined) return true
  return existsSync(folder) && readdirSync(folder).some((file) => file.startsWith('complete-'))
}

/** Name → version of what a peer's package says it is, for those that have one. */
export function versionsOf(names) {
  const chosen = names.map(peerNamed).filter((peer) => peer.package && hasParts(peer.needs))
  const ofNode = chosen.filter(({ needs }) => needs === 'npm').map((peer) => {
    const manifest = benchPath(`node_modules/${peer.package}/package.json`)
    return [peer.name, JSON.parse(readFileSync(manifest, 'utf8')).version]
  })
  const inPython = chosen.filter(({ needs }) => needs === 'venv')
  if (inPython.length === 0) return Object.fromEntries(ofNode)
  const code = 'import importlib.metadata as m, json, sys; print(json.dumps([*map(m.version, sys.argv[1:])]))'
  const packages = inPython.map((peer) => peer.package)
  const asked = spawnSync(BENCH_PYTHON, ['-c', code, ...packages], { encoding: 'utf8' })
  const versions = JSON.parse(asked.stdout)
  return Object.fromEntries([...ofNode, ...inPython.map(({ name }, i) => [name, versions[i]])])
}
