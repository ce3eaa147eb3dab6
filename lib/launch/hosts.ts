import { lookup } from 'node:dns/promises'
import { hostname, networkInterfaces } from 'node:os'
import { HOST_LOOKUP_MS } from '../limits.ts'

/**
 * Whether a name or address is this host's: its own name, loopback, or an address of one of its interfaces.
 * A name that nobody resolves in time is somebody else's.
 */
export async function namesThisHost(name: string): Promise<boolean> {
  const own = hostname()
  if (name === '') return false
  if (name === own || name === 'localhost' || isOwnAddress(name)) return true
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never[]>((resolve) => {
    timer = setTimeout(resolve, HOST_LOOKUP_MS, [])
    timer.unref()
  })
  try {
    const found = await Promise.race([lookup(name, { all: true }), late])
    return found.some(({ address }) => isOwnAddress(address))
  } catch {
    return false
  } finally {
    clearTimeout(timer)
  }
}

function isOwnAddress(address: string): boolean {
  if (/^127\.[\d.]+$/.test(address) || address === '::1') return true
  const own = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  return own.some((one) => one.address === address)
}
