/**
 * Where the head may be: all places that are known, in order of trust, and which one is next. Pure.
 *
 * In: what the files, the signposts and RANKZERO_HEAD say. Out: one target at a time.
 * Invariants: other nodes are asked with the run secret only; a target that welcomed us is kept until it
 * fails; of several, the one that failed least often is next, so none starves and none is asked for ever.
 */
import type { Endpoint } from '../record/run-status.ts'
import type { HostPort } from '../rank/index.ts'
import type { Place } from './core-signpost.ts'

export interface Target {
  host: string
  port: number
  /** Path of the run secret; null: our own node, with the secret of its meeting. */
  secretFile: string | null
  /** Changes with the process behind it, so that a restarted head counts as a new place. */
  mark: string
}

export interface SeekFacts {
  /** Our host name. */
  node: string
  /** The meeting file of our lock directory, which other nodes may share. */
  meeting: Endpoint | null
  /** The file for other nodes in the shared parent of the run directories. */
  shared: Endpoint | null
  /** Setting. */
  secretFile: string | null
  /** RANKZERO_HEAD with a port, and the addresses of its host. */
  head: (HostPort & { addresses: readonly string[] }) | null
  /** What signposts answered. */
  places: readonly Place[]
}

export function targetsOf(facts: SeekFacts): Target[] {
  const { node, meeting, shared, secretFile, head, places } = facts
  const found: Target[] = []
  const add = (host: string, port: number, secret: string | null, who = ''): void => {
    const mark = `${host} ${port} ${who}`
    if (!found.some((target) => target.host === host && target.port === port)) {
      found.push({ host, port, secretFile: secret, mark })
    }
  }
  if (meeting?.hostname === node) add(meeting.host, meeting.port, null, lifeOf(meeting))
  for (const endpoint of [shared, meeting]) {
    if (!endpoint?.wide || endpoint.hostname === node) continue
    const { addresses, port, secretFile: theirs } = endpoint.wide
    for (const host of addresses) add(host, port, secretFile ?? theirs, lifeOf(endpoint))
  }
  if (secretFile === null) return found
  if (head !== null && head.port !== null) for (const host of head.addresses) add(host, head.port, secretFile)
  for (const { hosts, port } of places) for (const host of hosts) add(host, port, secretFile)
  return found
}

const lifeOf = ({ pid, procStart, term }: Endpoint): string => `pid ${pid} started ${procStart} term ${term}`

export class Rotation {
  #failures = new Map<string, number>()
  #kept: string | null = null

  next(targets: readonly Target[]): Target | null {
    const known = new Map(targets.map(({ mark }) => [mark, this.#failures.get(mark) ?? 0]))
    this.#failures = known
    const kept = targets.find(({ mark }) => mark === this.#kept)
    if (kept !== undefined) return kept
    this.#kept = null
    const least = Math.min(...known.values())
    return targets.find(({ mark }) => known.get(mark) === least) ?? null
  }

  failed({ mark }: Target): void {
    if (this.#kept === mark) this.#kept = null
    this.#failures.set(mark, (this.#failures.get(mark) ?? 0) + 1)
  }

  won({ mark }: Target): void {
    this.#kept = mark
    this.#failures.clear()
  }
}
