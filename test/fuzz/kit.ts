/**
 * A fuzzer by mutation: real inputs, changed; what leads to a new answer joins the corpus of this round.
 *
 * In: a target, a seed, a time. Out: how many inputs, how many kinds of answer, and the findings.
 * A finding is an answer against the law of every decoder: only RankzeroError, in time, in memory. It is made
 * small and saved beside the corpus, so that it is tried first from then on. Same seed, same inputs.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { RankzeroError } from '../../lib/errors.ts'
import { random } from '../scenario/harness.ts'

export type Random = () => number

export interface Target {
  name: string
  /** Besides the files of corpus/<name>. */
  seeds?: () => Uint8Array[]
  /** One changed input of another; by default bytes are changed anywhere. */
  mutate?: (input: Uint8Array, random: Random, others: readonly Uint8Array[]) => Uint8Array
  /** Decodes, and throws by itself where a value breaks a law. What it returns is its kind of answer. */
  run: (input: Uint8Array) => string
  /** Bytes that one input may allocate at most, besides `perByte` times its own. */
  bytesMax?: number
}

export interface Report {
  name: string
  executions: number
  answers: number
  findings: { file: string; why: string }[]
}

const CORPUS = join(import.meta.dirname, 'corpus')
/** Of the processor (ms), since a loaded machine stops us for long; a decoder that needs it is quadratic. */
const INPUT_MS_MAX = 5000
/** What V8 and the answers of a target take in any case, and per byte of input. */
const BYTES_MAX = 48 << 20
const BYTES_PER_BYTE = 64
const POOL_MAX = 400
/** After this long (ms of the processor) without an answer the input is saved: see watchdog.js. */
const HANG_MS = 30_000
const SHARED_BYTES = 8 << 20
const MINIMISE_STEPS_MAX = 600

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

export const intOf = (random: Random, below: number): number => Math.floor(random() * below)
export const pick = <T>(random: Random, from: readonly T[]): T => from[intOf(random, from.length)]!

export function corpusOf(name: string): Uint8Array[] {
  const folder = join(CORPUS, name)
  if (!existsSync(folder)) return []
  return readdirSync(folder).sort().map((file) => readFileSync(join(folder, file)))
}

/** Runs the corpus as it is, then changes of it until the time is over. */
export function fuzz(target: Target, seed: number, ms: number): Report {
  const dice = random(seed)
  const pool = [...corpusOf(target.name), ...target.seeds?.() ?? []]
  const known = new Set<string>()
  const told = new Set<string>()
  const report: Report = { name: target.name, executions: 0, answers: 0, findings: [] }
  const end = performance.now() + ms
  const fresh: Uint8Array[] = []
  const shared = new SharedArrayBuffer(SHARED_BYTES)
  const words = new Int32Array(shared, 0, 2)
  const watched = new Uint8Array(shared, 8)
  const data = { shared, folder: join(CORPUS, target.name), ms: HANG_MS }
  const watchdog = new Worker(new URL('./watchdog.js', import.meta.url), { workerData: data })
  watchdog.unref()
  const attempt = (input: Uint8Array): void => {
    watched.set(input.subarray(0, watched.length))
    Atomics.add(words, 0, 1)
    Atomics.store(words, 1, Math.min(input.length, watched.length))
    let { answer, broken } = judge(target, input)
    // What only costs too much must do so again, on a clean heap: garbage of others may have been its cost.
    if (broken !== null && isCost(broken)) {
      collect()
      ;({ answer, broken } = judge(target, input))
    }
    Atomics.store(words, 1, -1)
    report.executions++
    if (broken !== null && !told.has(answer)) {
      told.add(answer)
      // What costs time or memory is kept as it is: making it small would cost them a hundred times more.
      const small = isCost(broken) ? input : minimised(target, input, answer)
      report.findings.push({ file: save(target.name, small), why: broken })
    }
    if (known.has(answer)) return
    known.add(answer)
    fresh.push(input)
    if (fresh.length > POOL_MAX) fresh.splice(intOf(dice, fresh.length), 1)
  }
  for (const input of pool) attempt(input)
  const mutate = target.mutate ?? mutateBytes
  while (performance.now() < end) {
    const from = dice() < 0.5 || fresh.length === 0 ? pick(dice, pool) : pick(dice, fresh)
    attempt(mutate(from, dice, pool))
  }
  void watchdog.terminate()
  report.answers = known.size
  return report
}

const isCost = (broken: string): boolean => /^(took|allocated) /.test(broken)

/** `broken`: what law the answer breaks. Answers that differ in numbers and quoted words are one kind. */
function judge(target: Target, input: Uint8Array): { answer: string; broken: string | null } {
  const copy = Uint8Array.prototype.slice.call(input)
  const before = getHeapStatistics()
  const begun = process.cpuUsage()
  let answer: string
  let broken: string | null = null
  try {
    answer = target.run(copy)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    answer = message.replace(/\d+/g, '0').replace(/'[^']*'|"[^"]*"/g, '').slice(0, 120)
    if (!(error instanceof RankzeroError)) {
      broken = error instanceof Error ? error.stack ?? message : message
      answer = `${error instanceof Error ? error.name : ''} at ${placeOf(broken)}`
    }
  }
  const { user, system } = process.cpuUsage(begun)
  const took = (user + system) / 1000
  const after = getHeapStatistics()
  const grown = after.used_heap_size - before.used_heap_size + after.external_memory - before.external_memory
  const allowed = (target.bytesMax ?? BYTES_MAX) + BYTES_PER_BYTE * input.length
  if (broken === null && took > INPUT_MS_MAX) broken = `took ${Math.round(took)} ms`
  if (broken === null && grown > allowed) broken = `allocated ${grown} bytes for ${input.length}`
  return { answer, broken }
}

/** The first line of a stack that is not of a library: two crashes at one place are one. */
const placeOf = (stack: string): string => /(?:lib|test)\/[\w./-]+:\d+/.exec(stack)?.[0] ?? ''

/** Halves, then smaller parts, are left out as long as the answer stays the same. */
function minimised(target: Target, input: Uint8Array, answer: string): Uint8Array {
  let small = input
  let steps = 0
  for (let part = small.length >> 1; part >= 1; part >>= 1) {
    for (let at = 0; at < small.length && steps < MINIMISE_STEPS_MAX; steps++) {
      const shorter = without(small, at, part)
      const same = judge(target, shorter)
      if (same.broken !== null && same.answer === answer) small = shorter
      else at += part
    }
  }
  return small
}

function save(name: string, input: Uint8Array): string {
  const folder = join(CORPUS, name)
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `found-${createHash('sha256').update(input).digest('hex').slice(0, 12)}`)
  writeFileSync(file, input)
  return file
}

// --- changes

const without = (bytes: Uint8Array, at: number, count: number): Uint8Array =>
  Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + count))])

const ODD_BYTES = [0, 1, 0x7f, 0x80, 0xff, 0xc1, 0xc7, 0xd4, 0xdd, 0xdf]
const ODD_WORDS = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x8000_0000, 0x0100_0000]

/** One to eight changes anywhere. */
export function mutateBytes(
  input: Uint8Array, random: Random, others: readonly Uint8Array[] = [],
): Uint8Array {
  let bytes: Uint8Array = Buffer.from(input)
  for (let n = 1 + intOf(random, 1 << intOf(random, 4)); n > 0; n--) bytes = changed(bytes, random, others)
  return bytes
}

function changed(bytes: Uint8Array, random: Random, others: readonly Uint8Array[]): Uint8Array {
  const at = intOf(random, bytes.length + 1)
  const count = 1 + intOf(random, 1 << intOf(random, 8))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  switch (intOf(random, 9)) {
    case 0: if (at < bytes.length) bytes[at]! ^= 1 << intOf(random, 8); return bytes
    case 1: if (at < bytes.length) bytes[at] = pick(random, ODD_BYTES); return bytes
    case 2: if (at < bytes.length) bytes[at] = intOf(random, 256); return bytes
    case 3:
      if (at + 4 <= bytes.length) view.setUint32(at, pick(random, ODD_WORDS), random() < 0.5)
      return bytes
    case 4: if (at + 8 <= bytes.length) view.setFloat64(at, pick(random, ODD_NUMBERS), true); return bytes
    case 5: return without(bytes, at, count)
    case 6: return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + count), bytes.subarray(at)])
    case 7: return bytes.subarray(0, at)
    default: {
      if (others.length === 0) return bytes
      const other = pick(random, others)
      const from = intOf(random, other.length + 1)
      return Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + count), bytes.subarray(at)])
    }
  }
}

const ODD_NUMBERS = [
  0, -0, -1, 1, 0.5, NaN, Infinity, -Infinity, 1e308, 5e-324, 2 ** 31, 2 ** 53, 2 ** 53 - 1, -(2 ** 53),
]
const ODD_TEXTS = [
  '', ' ', '0', '-1', '1e999', '../../etc/passwd', 'a\0b', '\u001b[31m', '\n', '\u202e', '💥', '__proto__',
  '%s', 'constructor', 'x'.repeat(5000), '9'.repeat(400), '[::1]:99999', '/dev/zero', '~', 'null', 'NaN',
  '\ud800',
]
/** Odd values of JSON: what a field may hold instead of what it should. */
export function oddValue(random: Random): unknown {
  switch (intOf(random, 7)) {
    case 0: return null
    case 1: return random() < 0.5
    case 2: return []
    case 3: return {}
    case 4: return JSON.parse('{"__proto__":{"polluted":true}}')
    case 5: return pick(random, ODD_TEXTS)
    default: return pick(random, ODD_NUMBERS)
  }
}
export const oddText = (random: Random): string => pick(random, ODD_TEXTS)

/** Changes one node of a tree of JSON; the given value stays as it is. */
export function mutateJson(value: unknown, random: Random): unknown {
  const holder: Record<string, unknown> = { value: structuredClone(value) }
  const spots: [Record<string, unknown>, string][] = []
  const walk = (of: Record<string, unknown>): void => {
    for (const key of Object.keys(of)) {
      spots.push([of, key])
      const child = of[key]
      if (typeof child === 'object' && child !== null) walk(child as Record<string, unknown>)
    }
  }
  walk(holder)
  const [of, key] = pick(random, spots)
  const how = intOf(random, 5)
  if (how === 0 && of !== holder) delete of[key]
  else if (how === 1 && typeof of[key] === 'number') {
    of[key] = of[key] as number + pick(random, [1, -1, 0.5, 2 ** 32])
  } else if (how === 2) {
    const [, other] = pick(random, spots)
    of[other] = oddValue(random)
  } else of[key] = oddValue(random)
  return holder['value']
}

/** For targets whose input is JSON text: mostly its tree is changed, sometimes its bytes. */
export function mutateJsonText(
  input: Uint8Array, random: Random, others: readonly Uint8Array[],
): Uint8Array {
  if (random() < 0.2) return mutateBytes(input, random, others)
  try {
    let value: unknown = JSON.parse(Buffer.from(input).toString())
    for (let n = 1 + intOf(random, 3); n > 0; n--) value = mutateJson(value, random)
    return Buffer.from(JSON.stringify(value) ?? 'null')
  } catch {
    return mutateBytes(input, random, others)
  }
}
