import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto'
import { messageOf } from '../errors.ts'

/** What the central document must be, beside being where it is. */
export interface Pins {
  /** 64 hex digits. */
  sha256: string | null
  /** Ed25519, base64: 32 bytes, or what openssl calls DER. */
  publicKey: string | null
}

/** Null: the bytes are what was pinned, and signed by whom it was to be. */
export function whyNotTrusted(body: Buffer, signature: Buffer | null, pins: Pins): string | null {
  const { sha256, publicKey } = pins
  const digest = createHash('sha256').update(body).digest('hex')
  if (sha256 !== null && digest !== sha256) return `its sha256 is ${digest}, and configSha256 is ${sha256}`
  if (publicKey === null) return null
  if (signature === null) return 'it has no signature'
  let key: KeyObject
  try {
    key = keyOf(Buffer.from(publicKey, 'base64'))
  } catch (error) {
    return `configPublicKey cannot be used: ${messageOf(error)}`
  }
  const bytes = signature.length === 64 ? signature : Buffer.from(signature.toString(), 'base64')
  return verify(null, body, key, bytes) ? null : 'its signature is not of configPublicKey'
}

/** What comes before the 32 bytes of an Ed25519 key in DER (RFC 8410). */
const DER = Buffer.from('302a300506032b6570032100', 'hex')

function keyOf(bytes: Buffer): KeyObject {
  const key = bytes.length === 32 ? Buffer.concat([DER, bytes]) : bytes
  const made = createPublicKey({ key, format: 'der', type: 'spki' })
  if (made.asymmetricKeyType !== 'ed25519') throw new Error('no Ed25519 key')
  return made
}
