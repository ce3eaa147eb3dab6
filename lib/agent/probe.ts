/** For `doctor`: which of the hosts that may lead to the head answers, how, and how far its clock is away. */
import { randomBytes } from 'node:crypto'
import { lookupAside } from '../aside.ts'
import { wallMs } from '../clock.ts'
import { messageOf } from '../errors.ts'
import { ADDRESSES_MAX, CANDIDATES_MAX, HOST_LOOKUP_MS } from '../limits.ts'
import { parseHost } from '../rank/index.ts'
import { readKeys, type RunKeys } from '../transport/index.ts'
import { askHello } from './ask.ts'
import { signpostPorts } from './core-signpost.ts'

export interface Probed {
  /** As the environment has it. */
  name: string
  /** '' where the name stands for none. */
  address: string
  /** 0: nothing answered. */
  port: number
  /** A head serves this meeting there; a signpost knows one, or knows none yet; or nothing answers. */
  answer: 'head' | 'signpost' | 'no head yet' | 'nothing'
  /** Where a signpost says that the head is. */
  head: string | null
  /** Clock of the head less ours (ms), as one round trip tells. */
  offsetMs: number | null
  /** Of `nothing`. */
  why: string
}

/** `names`: hosts, RANKZERO_HEAD with its port. Bounded; never throws. */
export async function probeHeads(
  o: { names: readonly string[]; meeting: string; secretFile: string | null },
): Promise<Probed[]> {
  const none = (name: string, why: string): Probed =>
    ({ name, address: '', port: 0, answer: 'nothing', head: null, offsetMs: null, why })
  if (o.secretFile === null) return o.names.map((name) => none(name, 'without a run secret none is asked'))
  try {
    const keys = readKeys(o.secretFile)
    const asked = o.names.slice(0, CANDIDATES_MAX).map(async (name) => {
      const { host, port } = parseHost(name) ?? { host: name, port: null }
      const found = await lookupAside(host, HOST_LOOKUP_MS)
      if (found === null) return [none(name, `no name server said within ${HOST_LOOKUP_MS / 1000} s`)]
      if (found.length === 0) return [none(name, 'no such name')]
      const addresses = found.slice(0, ADDRESSES_MAX)
      return Promise.all(addresses.map((address) => probe(name, address, port, o.meeting, keys)))
    })
    return (await Promise.all(asked)).flat()
  } catch (error) {
    return o.names.map((name) => none(name, messageOf(error)))
  }
}

/** One address; `port` null: those that a signpost of this meeting may have. Never throws. */
export async function probe(
  name: string, address: string, port: number | null, meeting: string, keys: RunKeys,
): Promise<Probed> {
  const agent = randomBytes(16).toString('hex')
  let why = ''
  for (const at of port === null ? signpostPorts(meeting) : [port]) {
    const told = await askHello({ host: address, port: at, keys }, agent, meeting)
    const known = { name, address, port: at, head: null, offsetMs: null, why: '' }
    if (told.type === 'WELCOME') return { ...known, answer: 'head', offsetMs: offsetOf(told.body) }
    if (told.type === 'REFUSE' && told.body.code === 'NO_HEAD') return { ...known, answer: 'no head yet' }
    if (told.type === 'REDIRECT') {
      const { host, port: there, hosts = [host] } = told.body
      for (const one of hosts) {
        const head = await askHello({ host: one, port: there, keys }, agent, meeting)
        const offsetMs = head.type === 'WELCOME' ? offsetOf(head.body) : null
        if (offsetMs !== null) return { ...known, answer: 'signpost', head: `${one}:${there}`, offsetMs }
      }
      return { ...known, answer: 'signpost', head: `${host}:${there}` }
    }
    why = told.type === 'silent' ? told.why : told.type === 'REFUSE' ? told.body.message : told.type
  }
  return { name, address, port: 0, answer: 'nothing', head: null, offsetMs: null, why }
}

/** The answer has just come. */
const offsetOf = ({ sentAt, now }: { sentAt: number; now: number }): number => now - (sentAt + wallMs()) / 2
