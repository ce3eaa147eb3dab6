/**
 * Where the head of a job may be, as far as the environment of a worker tells (DESIGN 11). Pure: names only,
 * nobody is asked. Whoever finds nothing here meets its head on its own node.
 */
import type { Env, Identity } from './types.ts'

export interface HeadCandidates {
  /** RANKZERO_HEAD: the head is there and nowhere else; `host` or `host:port`. */
  head?: string
  /** Hosts that may be the head, or may know it; only where the job may span several nodes. */
  candidates?: string[]
}

type Tuple = Pick<Identity, 'worldSize' | 'localWorldSize'>

const LOOPBACK = /^(127(\.\d{1,3}){3}|localhost|::1|0\.0\.0\.0|::)$/i
/** Longest host name (DNS), and room for a port. */
const HOST_LENGTH_MAX = 253
const IPV6 = /^[0-9A-Fa-f]*:[0-9A-Fa-f:.%]*:[0-9A-Fa-f:.%]*$/
const HOST = /^[A-Za-z0-9]([A-Za-z0-9._:%-]*[A-Za-z0-9.])?$/

export function headCandidates(env: Env, { worldSize, localWorldSize }: Tuple): HeadCandidates {
  const found: HeadCandidates = {}
  const head = env.RANKZERO_HEAD?.trim()
  if (head && parseHost(head) !== null) found.head = head
  const several = localWorldSize === null ? worldSize > 1 : worldSize > localWorldSize
  if (!several) return found
  const names = [env.MASTER_ADDR?.trim() ?? '', firstHost(env.SLURM_STEP_NODELIST?.trim() ?? '')]
  // A loopback address names every node's own self.
  const useful = names.filter((name) => HOST.test(name) && !LOOPBACK.test(name))
  if (useful.length > 0) found.candidates = [...new Set(useful)]
  return found
}

export interface HostPort {
  host: string
  /** Null: not said. */
  port: number | null
}

/** `host`, `host:port`, `[v6]:port` or a bare IPv6 address; null for what is none of them. */
export function parseHost(text: string): HostPort | null {
  const match = /^\[([0-9A-Fa-f:.%]+)\](?::(\d{1,5}))?$/.exec(text) ?? /^([^:]+)(?::(\d{1,5}))?$/.exec(text)
  const host = match?.[1] ?? text
  const port = match?.[2] === undefined ? null : Number(match[2])
  if (port !== null && (port < 1 || port > 65_535)) return null
  const isName = match !== null ? HOST.test(host) || host.includes(':') : IPV6.test(host)
  return isName && host.length <= HOST_LENGTH_MAX ? { host, port } : null
}

/** The first host of a Slurm list such as `node[03-05,7],login`: `node03`. */
export function firstHost(list: string): string {
  const first = /^(?:[^,[\]]|\[[^[\]]*\])*/.exec(list)?.[0] ?? ''
  return first.replace(/\[([^\],-]*)[^\]]*\]/g, '$1')
}
