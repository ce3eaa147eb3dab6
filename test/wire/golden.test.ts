/**
 * Golden vectors: golden.json holds bytes and their meaning for any language; decode.py reads them by
 * PROTOCOL.md alone. After a wanted change of the format: RANKZERO_GOLDEN=write npx vitest run
 * test/wire/golden
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { jsonNumber } from '../../lib/record/index.ts'
import { decodeBatch, decodeFrame, encodeFrame } from '../../lib/wire/index.ts'
import { build, recordsOf, type Rec } from './records.ts'
import { batchSamples, frameSamples } from './samples.ts'

const INSTANCE = '00112233445566778899aabbccddeeff'
const file = join(import.meta.dirname, 'golden.json')
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, 'hex'))
/** JSON has no -0, NaN or infinities: strings stand for them. */
const number = (n: number): number | string => Object.is(n, -0) ? '-0' : jsonNumber(n)

function plain(record: Rec): Record<string, unknown> {
  if ('kind' in record) return { ...record, body: new TextDecoder().decode(record.body) }
  const weight = Number.isNaN(record.weight) ? null : number(record.weight)
  return { ...record, weight, values: record.values.map(number) }
}

const made = {
  frames: frameSamples.map(({ type, term, body }) => ({
    type, term, body: body instanceof Uint8Array ? hex(body) : body, hex: hex(encodeFrame(type, term, body)),
  })),
  batches: batchSamples.map(({ name, records }) => ({
    name, instance: INSTANCE, records: records.map(plain), hex: hex(build(INSTANCE, records)),
  })),
}
if (process.env['RANKZERO_GOLDEN'] === 'write') writeFileSync(file, `${JSON.stringify(made, null, 1)}\n`)
const golden = JSON.parse(readFileSync(file, 'utf8')) as typeof made

it('the bytes are those of the golden vectors', () => {
  expect(made).toEqual(golden)
})

it('the golden bytes are read as what they mean', () => {
  for (const { type, term, body, hex: bytes } of golden.frames) {
    const frame = decodeFrame(unhex(bytes))
    const read = frame.body instanceof Uint8Array ? hex(frame.body) : frame.body
    expect({ ...frame, body: read }).toEqual({ type, term, body })
  }
  for (const { instance, records, hex: bytes } of golden.batches) {
    const batch = decodeBatch(unhex(bytes))
    expect([batch.instance, recordsOf(batch).map(plain)]).toEqual([instance, records])
  }
})

it('a decoder in another language, written from PROTOCOL.md, reads the same', (context) => {
  const ran = spawnSync('python3', [join(import.meta.dirname, 'decode.py'), file], { encoding: 'utf8' })
  if (ran.error !== undefined) return context.skip()
  expect([ran.stdout, ran.stderr, ran.status]).toEqual([
    `${golden.frames.length} frames, ${golden.batches.length} batches agree\n`, '', 0,
  ])
})
