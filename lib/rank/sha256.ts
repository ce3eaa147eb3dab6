/**
 * SHA-256 of a text (UTF-8) as 64 lower-case hex digits, FIPS 180-4. Written out because this room is pure:
 * meeting ids are computed in trainers, agents and tests alike, without any `node:` import.
 */
const K = constants(64, 1 / 3)
const START = constants(8, 1 / 2)

/** The first 32 bits of the fractional parts of `prime ** power`, for the first `count` primes. */
function constants(count: number, power: number): Uint32Array {
  const out = new Uint32Array(count)
  let found = 0
  for (let n = 2; found < count; n++) {
    if (isPrime(n)) {
      const root = n ** power
      out[found++] = (root - Math.floor(root)) * 2 ** 32
    }
  }
  return out
}

function isPrime(n: number): boolean {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false
  return true
}

const turn = (x: number, by: number): number => (x >>> by) | (x << (32 - by))

/** The message followed by 0x80, zeros, and its length in bits as a big-endian u64. */
function padded(text: string): DataView {
  const bytes = new TextEncoder().encode(text)
  const out = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64)
  out.set(bytes)
  out[bytes.length] = 0x80
  const view = new DataView(out.buffer)
  view.setBigUint64(out.length - 8, BigInt(bytes.length) * 8n)
  return view
}

function expand(w: Int32Array, message: DataView, at: number): void {
  for (let i = 0; i < 16; i++) w[i] = message.getInt32(at + 4 * i)
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15]!
    const y = w[i - 2]!
    const s0 = turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)
    const s1 = turn(y, 17) ^ turn(y, 19) ^ (y >>> 10)
    w[i] = w[i - 16]! + s0 + w[i - 7]! + s1
  }
}

function compress(state: Uint32Array, w: Int32Array): void {
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state
  for (let i = 0; i < 64; i++) {
    const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i]! + w[i]!) | 0
    const s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  const next = [a, b, c, d, e, f, g, h]
  for (let i = 0; i < 8; i++) state[i] = state[i]! + next[i]!
}

export function sha256(text: string): string {
  const message = padded(text)
  const state = START.slice()
  const w = new Int32Array(64)
  for (let at = 0; at < message.byteLength; at += 64) {
    expand(w, message, at)
    compress(state, w)
  }
  return Array.from(state, (word) => word.toString(16).padStart(8, '0')).join('')
}
