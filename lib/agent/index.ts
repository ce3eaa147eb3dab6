/**
 * Room agent: one process per node and meeting, between the journals of its ranks and the aggregator.
 *
 * In: journals and spools of one meeting; acknowledgements. Out: batches, ENDs, spool files, trimmed and
 * deleted journals.
 * Invariants: one agent per node and meeting, by a kernel lock; every record is sent until it is acknowledged
 * or on disk; journals of other meetings are not touched; it outlives any trainer and dies without loss at
 * any instant.
 * It decides nothing about points: what is a duplicate, a row or an end state is the aggregator's (DESIGN 7).
 * What happens when the head's node is gone is in FAILOVER.md.
 *
 * scan → feed (journal, spool) → drain → uplink (core-uplink: go-back-N) → transport; deaths tells who is
 * gone.
 */
import { hostname } from 'node:os'
import { monotonicMs } from '../clock.ts'
import { elect } from '../lock/index.ts'
import { spawnDaemon } from '../spawn.ts'
import { Shift, type AgentOptions } from './shift.ts'

export type { AgentOptions } from './shift.ts'
export { drainIntervalMs } from './core-pace.ts'

/** The lock directory may be shared by nodes (a home directory): each has its own agent. */
export const agentLockName = (meeting: string, node: string): string => `agent-${meeting}-${node}`

/** For the command line: this host, and heads started through `cli`. */
export function agentOptions(
  o: Omit<AgentOptions, 'node' | 'startHead'> & { cli: readonly string[] | null },
): AgentOptions {
  const { meeting, run, dir, env, cli } = o
  return {
    ...o,
    node: hostname(),
    startHead({ wide, run: taken, adopt }) {
      if (cli === null) throw new Error('no rankzero command was found (RANKZERO_CLI, PATH)')
      const resumed = run ?? taken
      const named = resumed === null ? [] : ['--resume', resumed]
      const flags = [...wide ? ['--wide'] : [], ...adopt ? ['--adopt'] : []]
      spawnDaemon(cli, ['aggregator', '--meeting', meeting, '--dir', dir, ...named, ...flags],
        { env, ready: false })
    },
  }
}

/** Exit status of the process: 0; a loser of the election leaves at once. */
export async function runAgent(options: AgentOptions): Promise<number> {
  let shift: Shift | null = null
  let told = false
  const ignore = (): void => {}
  const term = (): void => {
    told = true
    shift?.term()
  }
  // These reach a whole process group or terminal; the agent has to outlive what they are meant for.
  const deaf = ['SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE'] as const
  for (const signal of deaf) process.on(signal, ignore)
  process.on('SIGTERM', term)
  try {
    for (let again = true; again;) {
      const office = elect(options.lockDir, agentLockName(options.meeting, options.node))
      if (office === null) return 0
      shift = new Shift(options, monotonicMs)
      try {
        const worked = shift.work()
        if (told) shift.term()
        await worked
      } finally {
        office.release()
      }
      // A logger that opened its journal just now saw an agent at work and started none.
      again = shift.somethingNew()
    }
    return 0
  } finally {
    for (const signal of deaf) process.off(signal, ignore)
    process.off('SIGTERM', term)
  }
}
