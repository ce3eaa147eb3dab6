/**
 * The signpost's answers (PROTOCOL.md): which ports it may have, and where it sends whom. Pure.
 *
 * In: frames of agents that look for the head, and of the head. Out: the answer. A head on this node is
 * believed first, then what a head elsewhere said within SIGNPOST_FRESH_MS, of several the highest term.
 */
import { SIGNPOST_FRESH_MS } from '../limits.ts'
import type { Bodies } from '../wire/index.ts'

/** Below the ephemeral ports of Linux, above what services usually have. */
const PORT_MIN = 23_000
const PORTS = 3
const PLACES = 2000

/** Three tries, in order: another job's signpost may have the first. */
export function signpostPorts(meeting: string): number[] {
  const first = PORT_MIN + PORTS * (parseInt(meeting.slice(0, 8), 16) % PLACES)
  return Array.from({ length: PORTS }, (_, i) => first + i)
}

/** Where a head listens for other nodes. */
export interface Place {
  hosts: string[]
  port: number
}

export type Answer =
  | { type: 'REDIRECT'; body: Bodies['REDIRECT'] }
  | { type: 'REFUSE'; body: Bodies['REFUSE'] }

const NO_HEAD = { code: 'NO_HEAD', message: 'no head is known here yet', remedy: 'ask again' }

export class Signpost {
  readonly #meeting: string
  #told: { place: Place; term: number; at: number } | null = null

  constructor(meeting: string) {
    this.#meeting = meeting
  }

  /** The head as it told us itself. */
  told(now: number): Place | null {
    return this.#told !== null && now - this.#told.at <= SIGNPOST_FRESH_MS ? this.#told.place : null
  }

  hello(meeting: string, here: Place | null, now: number): Answer {
    if (meeting !== this.#meeting) return this.#stranger(meeting)
    const place = here ?? this.told(now)
    return place === null ? { type: 'REFUSE', body: NO_HEAD } : this.#redirect(place)
  }

  announced(body: Bodies['REDIRECT'], term: number, now: number): Answer {
    const { host, port, hosts, meeting } = body
    if (meeting !== this.#meeting) return this.#stranger(meeting ?? 'none')
    const place = { hosts: hosts ?? [host], port }
    if (this.told(now) === null || term >= this.#told!.term) this.#told = { place, term, at: now }
    return this.#redirect(place)
  }

  #redirect({ hosts, port }: Place): Answer {
    return { type: 'REDIRECT', body: { host: hosts[0]!, port, hosts, meeting: this.#meeting } }
  }

  #stranger(meeting: string): Answer {
    const message = `this is the signpost of meeting ${this.#meeting}, not of ${meeting}`
    return { type: 'REFUSE', body: { code: 'PROTOCOL', message, remedy: 'ask at the next port' } }
  }
}
