/**
 * Total conversions of whatever a user passes into JSON that can be written. Code of a value may run; it may
 * throw.
 */
import { Buffer } from 'node:buffer'
import { TEXT_BYTES_MAX } from '../limits.ts'
import { jsonNumber } from '../record/index.ts'

const DEPTH_MAX = 16
const NODES_MAX = 100_000

/** JSON-safe copy: numbers JSON lacks become words, BigInt digits, functions and too deep values a note. */
export function plain(value: unknown): unknown {
  let nodes = 0
  const above = new Set<object>()
  const copy = (from: unknown, depth: number): unknown => {
    if (++nodes > NODES_MAX) return '[cut]'
    if (typeof from === 'number') return jsonNumber(from)
    if (typeof from === 'bigint') return from.toString()
    if (typeof from === 'function' || typeof from === 'symbol') return `[${typeof from}]`
    if (typeof from !== 'object' || from === null) return from
    if (above.has(from)) return '[circular]'
    if (depth > DEPTH_MAX) return '[too deep]'
    const json = jsonOf(from)
    if (json !== from) return copy(json, depth + 1)
    above.add(from)
    const list = listOf(from)
    const out = list ? list.map((item) => copy(item, depth + 1))
      : Object.fromEntries(Object.keys(from).map((key) => [key, copy(readKey(from, key), depth + 1)]))
    above.delete(from)
    return out
  }
  return copy(value, 0)
}

function readKey(from: object, key: string): unknown {
  try {
    return (from as Record<string, unknown>)[key]
  } catch {
    return '[threw]'
  }
}

/** What a value says it is in JSON (dates, for one); itself when it says nothing. */
function jsonOf(from: object): unknown {
  try {
    if (from instanceof Map) return Object.fromEntries(from)
    if (from instanceof Error) return `${from.name}: ${from.message}`
    const { toJSON } = from as { toJSON?: unknown }
    return typeof toJSON === 'function' ? toJSON.call(from) as unknown : from
  } catch {
    return '[threw]'
  }
}

function listOf(from: object): unknown[] | null {
  if (Array.isArray(from)) return from.slice(0, NODES_MAX)
  if (from instanceof Set) return [...from].slice(0, NODES_MAX)
  if (!ArrayBuffer.isView(from) || from instanceof DataView) return null
  return Array.from((from as Float64Array).subarray(0, NODES_MAX))
}

/** Bytes of a value as JSON. */
export function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? '')
}

/** A text as it may be written: whole, or its beginning when its JSON would be over TEXT_BYTES_MAX. */
export function cutText(text: string): { line: string; cut?: true } {
  // Six bytes are the most that JSON makes of one UTF-16 unit.
  if (text.length * 6 + 2 <= TEXT_BYTES_MAX || jsonBytes(text) <= TEXT_BYTES_MAX) return { line: text }
  let line = text.slice(0, TEXT_BYTES_MAX)
  for (let bytes = jsonBytes(line); bytes > TEXT_BYTES_MAX; bytes = jsonBytes(line)) {
    line = line.slice(0, Math.floor(line.length * TEXT_BYTES_MAX / bytes))
    if (/[\uD800-\uDBFF]$/.test(line)) line = line.slice(0, -1)
  }
  return { line, cut: true }
}
