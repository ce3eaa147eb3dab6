import { hostname, networkInterfaces } from 'node:os'
import { lookupAside } from '../aside.ts'
import { HOST_LOOKUP_MS } from '../limits.ts'

/**
 * Whether a name or address is this host's: its own name, loopback, or an address of one of its interfaces.
 * A name that nobody resolves in time is somebody else's.
 */
export async function namesThisHost(name: string): Promise<boolean> {
  const own = hostname()
  if (name === '') return false
  if (name === own || name === 'localhost' || isOwnAddress(name)) return true
  return (await lookupAside(name, HOST_LOOKUP_MS) ?? []).some(isOwnAddress)
}

function isOwnAddress(address: string): boolean {
  if (/^127\.[\d.]+$/.test(address) || address === '::1') return true
  const own = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  return own.some((one) => one.address === address)
}
