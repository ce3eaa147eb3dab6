import type { Command } from 'commander'
import { isOfEvents, keysOf } from '../backend/index.ts'
import { checkKey, keyVariables } from '../config/keys.ts'
import {
  findSetting, SETTINGS, type SettingName, type Settings, type Sources,
} from '../config/settings.ts'
import { RankzeroError } from '../errors.ts'
import { CONSOLE_HOLD_MS, CONSOLE_STALL_MS } from '../limits-console.ts'
import { EXIT_TIMEOUT_MS } from '../limits.ts'
import type { SuperviseOptions } from '../launch/index.ts'
import { outboxEndMs } from '../session/core-pauses.ts'
import { cliOf } from '../spawn.ts'
// Not the room's door: that one loads zeromq, which the supervisor has no use for.
import { readKeys } from '../transport/secret.ts'
import { checkNames, command, type Exit, type Shared } from './define.ts'
import { findRun, parentOf } from './runs.ts'
import { commandSources } from './sources.ts'

type Flags = Shared & Partial<Record<SettingName, string | boolean>> & { exitTimeout?: string }

/**
 * Variables that trackers are logged in with, beside those of our settings. COMMAND needs none of them, since
 * the aggregator delivers, and horovodrun shows the whole environment to every user of the node.
 */
const SECRETS = ['MLFLOW_TRACKING_TOKEN', 'MLFLOW_TRACKING_PASSWORD']

export const runSubcommand = (exit: Exit): Command => command('run')
  .summary('run COMMAND under one session; its exit status is COMMAND\'s')
  .description('Runs COMMAND, or N workers of it, under one session: put it before what you already type.')
  .usage('[options] -- COMMAND...')
  .passThroughOptions()
  .argument('<COMMAND...>', 'the command with its arguments')
  .option('--nproc <N>', 'start COMMAND N times, as ranks 0 to N-1')
  .option('--console <how>', 'with --nproc, show output: collapse, prefix or raw')
  .option('--project <P>', 'project of the experiment')
  .option('--name <N>', 'name of the experiment')
  .option('--key <K>', 'experiment key, held by one run at a time')
  .option('--backend <B,...>', 'where the session is delivered to')
  .option('--workspace <W>', 'Comet workspace of the project')
  .option('--tags <T,...>', 'tags of the experiment')
  .option('--rank-series <which>', 'ranks with series of their own in Comet: none, outliers or all')
  .option('--offline', 'call no Comet server: write an archive, which sync or comet upload delivers')
  .option('--on-collision <how>', 'another run holds the key: fail, wait or rename')
  .option('--resume <RUN>', 'go on with a run instead of a new one')
  .option('--on-failure <how>', 'with --nproc, a worker failed: stop the others, or continue')
  .option('--exit-timeout <S>', 'seconds to wait after COMMAND for what is not delivered yet')
  .option('--head <HOST>', 'host[:port] of the head, where other nodes cannot find it otherwise')
  .option('--secret-file <FILE>', 'the run secret, for nodes that share no run directory')
  .option('--forward-signals', 'send INT and TERM on to COMMAND, whoever else got them')
  .option('--no-forward-signals', 'never send them on')
  .option('--no-python-path', 'do not append our Python client to PYTHONPATH of COMMAND')
  .option('--system-metrics [S]', 'sample each node every S seconds (5s); without S, every 10')
  .option('--no-system-metrics', 'do not sample the nodes')
  .option('--debug', 'log each HTTP call of a backend in requests.log of the run directory')
  .option('--pass-keys', 'leave variables that hold API keys in the environment of COMMAND')
  .addHelpText('after', `
Each option has a variable RANKZERO_<OPTION>, for example RANKZERO_EXIT_TIMEOUT. The first line on stderr is
"rankzero: run <id> <directory>"; when COMMAND is done, the first failure and what is still pending follow.

With --nproc, a line that several ranks print within ${CONSOLE_HOLD_MS} ms is shown once, as "ranks 0–7: …"
(--console collapse; prefix: each line with its rank, at once; raw: the ranks have our terminal). All that
they printed is in console/rank-<n>.log of the run directory; rankzero console shows it again. The ranks see
pipes, with PYTHONUNBUFFERED=1 for Python. Output that nobody takes for ${CONSOLE_STALL_MS / 1000} s stops
them no longer: some of it is left out on the terminal, which says so. What a rank leaves running loses its
pipe when the last rank has ended.

Put it where the launcher is typed, torchrun on each node, srun, mpirun or horovodrun once, or in front of
what a launcher starts (srun rankzero run -- python train.py): the supervisors of one job share one run.
After COMMAND it waits for the end of the session, whatever hangs at most --exit-timeout
(${EXIT_TIMEOUT_MS / 1000} s, 0: not at all): what is not delivered then is named on stderr and not lost.
How long each other wait may last is in lib/BOUNDS.md.
INT and TERM are sent on as TERM to the launcher, or to the step of srun; not what a terminal or a launcher
above us sends to all by itself.

Exit status: that of COMMAND, 128+n for signal n; before it starts: 2 usage, 75 the key is held,
126 COMMAND cannot be executed, 127 it was not found.

Example:
  rankzero run --nproc 4 --project digits -- node train.js --epochs 3`)
  .action(async (words: string[], flags: Flags) => {
    const options = superviseOptions(words, flags, commandSources())
    // What we start for disks and output has no use for keys; who has, is given its own environment.
    for (const name of options.secrets) delete process.env[name]
    const { supervise } = await import('../launch/index.ts')
    exit(await supervise(options))
  })

/** Trainers read no file: what one says of these comes to them as a variable. */
const OF_TRAINERS = ['exitTimeoutMs', 'overflowCap', 'shmDir'] as const

/** Everything that can be wrong with the call is found here, before anything starts. */
export function superviseOptions(
  words: readonly string[], flags: Flags, known: Sources,
): SuperviseOptions {
  const env = known.env as NodeJS.ProcessEnv
  const raw: Partial<Record<SettingName, unknown>> = { ...flags, exitTimeoutMs: flags.exitTimeout }
  // An option that only has a --no form is true when it was not given at all.
  if (flags.pythonPath !== false) delete raw.pythonPath
  const sources = { ...known, flags: raw }
  const get = <N extends SettingName>(name: N): Settings[N] => findSetting(name, sources).value
  checkNames(get('backend'))
  for (const backend of get('backend')) {
    for (const key of keysOf([backend])) checkKey(key, sources, isOfEvents(backend))
  }
  const cli = cliOf(env)
  if (cli === null) {
    throw new RankzeroError('USAGE', 'the program rankzero cannot be found', 'set RANKZERO_CLI to its path')
  }
  const forward = get('forwardSignals')
  const nproc = get('nproc')
  const resumed = get('resume') === null ? null : findRun(get('dir'), get('resume') ?? '')
  const sessionArgs: string[] = []
  for (const [name, flag] of [['project', '--project'], ['name', '--name'], ['key', '--key']] as const) {
    const { value, origin } = findSetting(name, sources)
    if (value !== null && origin.from === 'flag') sessionArgs.push(`${flag}=${value}`)
  }
  sessionArgs.push('--on-collision', get('onCollision'))
  if (raw.exitTimeoutMs !== undefined && get('backend').some((name) => name !== 'local')) {
    sessionArgs.push('--end-timeout', `${outboxEndMs(get('exitTimeoutMs'))}`)
  }
  const system = findSetting('systemMetrics', sources)
  // Agents read it where they are, and those of other nodes are started by their ranks.
  const agentEnv = { ...env }
  if (system.origin.from === 'flag') {
    agentEnv.RANKZERO_SYSTEM_METRICS = system.value === 0 ? '0' : `${system.value / 1000}s`
  }
  // The head may be started by whoever of the job comes first, and started again by others.
  if (raw.backend !== undefined) agentEnv.RANKZERO_BACKEND = get('backend').join(',')
  if (raw.workspace !== undefined) agentEnv.RANKZERO_WORKSPACE = get('workspace') ?? ''
  if (raw.tags !== undefined) agentEnv.RANKZERO_TAGS = get('tags').join(',')
  if (raw.offline !== undefined) agentEnv.RANKZERO_OFFLINE = '1'
  if (get('debug')) agentEnv.RANKZERO_DEBUG = '1'
  if (raw.rankSeries !== undefined) agentEnv.RANKZERO_RANK_SERIES = get('rankSeries')
  const [head, secretFile] = [get('head'), get('secretFile')]
  if (head !== null) agentEnv.RANKZERO_HEAD = head
  for (const name of OF_TRAINERS) {
    const { origin, value } = findSetting(name, sources)
    if (origin.from !== 'file' && origin.from !== 'url') continue
    agentEnv[SETTINGS[name].env[0]!] = name === 'exitTimeoutMs' ? `${Number(value) / 1000}` : `${value}`
  }
  if (secretFile !== null) {
    readKeys(secretFile)
    agentEnv.RANKZERO_SECRET_FILE = secretFile
  }
  return {
    command: words, nproc, console: consoleOf(nproc, sources), cli, env: agentEnv,
    secrets: [...SECRETS, ...keyVariables(sources)],
    resume: resumed?.run ?? null, sessionArgs,
    dir: resumed === null ? get('dir') : parentOf(resumed), lockDir: get('lockDir'), key: get('key'),
    onFailure: get('onFailure'), forwardSignals: forward === null ? 'auto' : forward ? 'always' : 'never',
    exitTimeoutMs: get('exitTimeoutMs'), overflowCap: get('overflowCap'), passKeys: get('passKeys'),
    pythonPath: get('pythonPath'),
  }
}

/** COMMAND alone keeps its terminal; a variable that is meant for jobs with --nproc does not forbid it. */
function consoleOf(
  nproc: number | null, sources: Sources,
): SuperviseOptions['console'] {
  const { value, origin } = findSetting('console', sources)
  if (nproc !== null) return value ?? 'collapse'
  if (value !== null && value !== 'raw' && origin.from === 'flag') {
    throw new RankzeroError('USAGE',
      `--console ${value} needs --nproc: without it COMMAND keeps its terminal`,
      'leave --console out, and have each rank send its lines: init(capture=True), in Node '
      + 'init({ capture: true }); rankzero console shows them collapsed')
  }
  return 'raw'
}
