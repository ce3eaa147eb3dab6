import { lookup } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import { monotonicMs } from '../clock.ts'
import { ADDRESSES_MAX, CANDIDATES_MAX, NAME_FRESH_MS } from '../limits.ts'

/** Addresses of this node that others can use, best first: IPv4, then IPv6 that needs no interface. */
export function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []).filter((one) => !one.internal)
  const usable = all.filter(({ address }) => !address.toLowerCase().startsWith('fe80'))
  const isV4 = ({ family }: (typeof usable)[number]): boolean => family === 'IPv4'
  const best = [...usable.filter(isV4), ...usable.filter((one) => !isV4(one))]
  return best.slice(0, ADDRESSES_MAX).map(({ address }) => address)
}

function isOwn(address: string): boolean {
  return Object.values(networkInterfaces()).some((list) => list?.some((one) => one.address === address))
    // A node's own name often stands for a loopback address that no interface lists (127.0.1.1).
    || address.startsWith('127.')
}

interface Known { addresses: string[] | null; at: number; asking: boolean }

/** Host names and what they stand for; looked up in the background, so that no answer is waited for. */
export class Names {
  readonly #known = new Map<string, Known>()

  /** Null: not known yet, or no such name. */
  addresses(name: string): string[] | null {
    const known = this.#known.get(name) ?? { addresses: null, at: -Infinity, asking: false }
    const stale = monotonicMs() - known.at > (known.addresses === null ? NAME_FRESH_MS / 10 : NAME_FRESH_MS)
    if (stale && !known.asking && (this.#known.has(name) || this.#known.size < CANDIDATES_MAX)) {
      known.asking = true
      this.#known.set(name, known)
      void this.#ask(name, known)
    }
    return known.addresses
  }

  /** Whether the name stands for this node; null: not known yet. */
  isHere(name: string): boolean | null {
    return this.addresses(name)?.some(isOwn) ?? null
  }

  async #ask(name: string, known: Known): Promise<void> {
    try {
      const found = await lookup(name, { all: true })
      known.addresses = found.map(({ address }) => address).slice(0, ADDRESSES_MAX)
    } catch {
      // Not known yet: a node that comes up late, a name server that is away. What was known stays.
    }
    known.at = monotonicMs()
    known.asking = false
  }
}
