/**
 * CURVE keys of a run: both pairs follow from the one run secret, so that whoever has it can be the head and
 * can join it, and nobody else can do either.
 */
import { createPrivateKey, createPublicKey, hkdfSync } from 'node:crypto'
import { z85 } from './z85.ts'

export interface KeyPair {
  /** Z85, as zeromq takes it. */
  publicKey: string
  secretKey: string
  /** The public key as ZAP shows it. */
  bytes: Uint8Array
}

export interface RunKeys {
  server: KeyPair
  client: KeyPair
}

export const SECRET_BYTES = 32
const KEY_BYTES = 32
/** What stands before the 32 bytes of an X25519 private key in PKCS8. */
const PKCS8_X25519 = Buffer.from('302e020100300506032b656e04220420', 'hex')

export function keysOf(secret: Uint8Array): RunKeys {
  return { server: pairOf(secret, 'rankzero head'), client: pairOf(secret, 'rankzero agent') }
}

function pairOf(secret: Uint8Array, label: string): KeyPair {
  const seed = new Uint8Array(hkdfSync('sha256', secret, '', label, KEY_BYTES))
  const der = Buffer.concat([PKCS8_X25519, seed])
  const pair = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }))
  const bytes = new Uint8Array(pair.export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES))
  return { publicKey: z85(bytes), secretKey: z85(seed), bytes }
}
