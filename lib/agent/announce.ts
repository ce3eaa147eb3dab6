/** The head's side of the signposts: tells those of the job's candidate hosts where it is, every 2 s. */
import { ANNOUNCE_INTERVAL_MS } from '../limits.ts'
import type { RunKeys } from '../transport/index.ts'
import { encodeFrame } from '../wire/index.ts'
import { ask } from './ask.ts'
import { signpostPorts, type Place } from './core-signpost.ts'
import { Names } from './names.ts'

export interface AnnounceOptions {
  meeting: string
  keys: RunKeys
  term: number
  here: () => Place
  /** Host names that members said may lead to the head. */
  hosts: () => Iterable<string>
}

/** Returns what ends it. Own host names need none: the agent there reads the meeting file. */
export function announce(options: AnnounceOptions): () => void {
  const { meeting, keys, term, here, hosts } = options
  const names = new Names()
  const busy = new Set<string>()
  /** Where the signpost of an address was last found. */
  const found = new Map<string, number>()
  const tell = async (host: string): Promise<void> => {
    const frame = (): Uint8Array => {
      const { hosts, port } = here()
      return encodeFrame('REDIRECT', term, { host: hosts[0]!, port, hosts, meeting })
    }
    const known = found.get(host)
    for (const port of known === undefined ? signpostPorts(meeting) : [known]) {
      const told = await ask({ host, port, keys }, frame)
      if (told.type === 'REDIRECT') return void found.set(host, port)
      found.delete(host)
    }
  }
  const timer = setInterval(() => {
    if (here().hosts.length === 0) return
    for (const name of hosts()) {
      if (names.isHere(name) !== false) continue
      for (const host of names.addresses(name) ?? []) {
        if (busy.has(host)) continue
        busy.add(host)
        void tell(host).finally(() => busy.delete(host))
      }
    }
  }, ANNOUNCE_INTERVAL_MS)
  return () => clearInterval(timer)
}
