/**
 * One job: the trainers of one peer, in fresh processes, in directories of their own that are removed after
 * it.
 *
 * In: a peer of peers.js and a plan (see drive.py). Out: what tree.py tells of the whole process tree and
 * what each trainer tells of itself. A job that fails throws, with the end of what it printed.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BENCH_PYTHON, CLI, LIB_PYTHON, benchPath, endOf, remove, runJson } from './kit.js'

/** Nobody has the first address and there is no way to it; on the port of the second nobody ever answers. */
const HANG_PORT = 5999
const NETWORKS = { down: 'http://203.0.113.1', hanging: `http://127.0.0.1:${HANG_PORT}` }
/** A plan's defaults: no limit but the steps, no pause, nothing left out. */
const PLAN = {
  world: 1, metrics: 10, steps: 0, seconds: null, warmup: 0, rate: 0, burst: 0, pauseMs: 0, whole: false,
  kill: false,
}
/** A job that takes longer is killed: a hanging exit ends here. */
const LIMIT_S = 120
/** Until daemons that start beside a trainer are up: they would share the cores with what is timed. */
const SETTLE_MS = 1500

/** Directories of a job: `files` are the peer's, counted as its disk use; `scratch` ours. */
function makePlaces() {
  const home = mkdtempSync(join(tmpdir(), 'rankzero-bench-'))
  const places = {
    home, files: join(home, 'files'), scratch: join(home, 'scratch'),
    shm: `/dev/shm/${home.split('/').at(-1)}`,
  }
  for (const path of [places.files, places.scratch, places.shm]) mkdirSync(path, { mode: 0o700 })
  return places
}

function environmentOf(peer, { home, files, shm }, network) {
  return {
    HOME: home, TMPDIR: home, PYTHONPATH: LIB_PYTHON, PYTHONDONTWRITEBYTECODE: '1',
    RANKZERO_DIR: files, RANKZERO_LOCK_DIR: join(home, 'locks'), RANKZERO_SHM_DIR: shm, RANKZERO_CLI: CLI,
    BENCH_NODE: process.execPath, MASTER_ADDR: '127.0.0.1', MASTER_PORT: '29500',
    ...network && { BENCH_URL: NETWORKS[network], ...peer.env?.(NETWORKS[network]) },
  }
}

/**
 * The interpreter and the driver of a peer's language; or a script in the place of the driver, with torch.
 */
export function driverOf({ language, needs }, script) {
  if (script) return [BENCH_PYTHON, benchPath(script)]
  if (language === 'node') return [process.execPath, benchPath('drive.js')]
  return [needs === 'venv' ? BENCH_PYTHON : 'python3', benchPath('drive.py')]
}

function outputOf(scratch) {
  const names = readdirSync(scratch).filter((name) => name.startsWith('output-'))
  return endOf(names.map((name) => readFileSync(join(scratch, name), 'utf8')).join(''))
}

/**
 * `count: true`: also how many points can be read back afterwards, in a process that knows nothing of the
 * job.
 */
export async function runJob(peer, { count = false, ...given }) {
  const places = makePlaces()
  const { files, scratch } = places
  try {
    const settleMs = peer.daemons ? SETTLE_MS : 0
    const steps = Math.min(given.steps, peer.stepsMax ?? Infinity)
    const plan = { ...PLAN, settleMs, ...given, steps, peer: peer.file, dir: files, scratch }
    const driver = [...driverOf(peer, plan.script), JSON.stringify(plan)]
    const wrapper = peer.wrap?.(plan.world) ?? []
    const env = environmentOf(peer, places, plan.network)
    const tree = await runJson(['python3', benchPath('tree.py'), JSON.stringify({
      command: [...wrapper, ...driver], copies: wrapper.length ? 1 : plan.world, world: plan.world,
      hangPort: plan.network === 'hanging' ? HANG_PORT : null, env, dir: files, scratch,
      limitS: plan.limitS ?? LIMIT_S,
    })])
    const ranks = Array.from({ length: plan.world }, (_, rank) => join(scratch, `rank-${rank}.json`))
    const missing = ranks.find((path) => !existsSync(path))
    const isBroken = tree.limited || !plan.kill && tree.exits.some((status) => status !== 0)
    if (missing || isBroken) {
      const seconds = ((tree.doneNs - tree.startedNs) / 1e9).toFixed(0)
      const how = tree.limited ? 'was killed' : `ended with ${tree.exits}`
      throw new Error(`the job ${how} after ${seconds} s, trainers were not through: ${outputOf(scratch)}`)
    }
    const trainers = ranks.map((path) => JSON.parse(readFileSync(path, 'utf8')))
    const counting = [...driverOf(peer), JSON.stringify({ peer: peer.file, dir: files, count: true })]
    return { tree, trainers, counted: count ? await runJson(counting, env) : null }
  } finally {
    remove(places.home, places.shm)
  }
}
