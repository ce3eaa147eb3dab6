import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { afterAll, describe, expect, test } from 'vitest'
import { fileSink, streamSink } from '../../lib/cli/sink.ts'
import { EXPORT_CHUNK_CHARS } from '../../lib/limits-console.ts'

const place = mkdtempSync(join(tmpdir(), 'rz-sink-'))
afterAll(() => rmSync(place, { recursive: true }))
const LINE = 'ä line of text\n'

describe('a file', () => {
  test('appears only when it is complete', async () => {
    const sink = fileSink(join(place, 'out'))
    for (let n = 0; n < 10_000; n++) await sink.write(LINE)
    expect(readdirSync(place).filter((name) => name === 'out')).toEqual([])
    await sink.end()
    expect(readdirSync(place)).toEqual(['out'])
    expect(readFileSync(join(place, 'out'), 'utf8')).toBe(LINE.repeat(10_000))
  })
  test('that could not be finished leaves nothing', () => {
    const sink = fileSink(join(place, 'half'))
    void sink.write(LINE.repeat(EXPORT_CHUNK_CHARS))
    sink.discard()
    expect(readdirSync(place).filter((name) => name.startsWith('half'))).toEqual([])
  })
  test('in a directory that is not there is a usage error with its path', () => {
    const path = join(place, 'no', 'out')
    expect(() => fileSink(path)).toThrow(expect.objectContaining({ code: 'USAGE' }))
    expect(() => fileSink(path)).toThrow(path)
  })
})

test('a slow reader is waited for, and gets every character once', async () => {
  let taken = ''
  const slow = new Writable({
    highWaterMark: 1024,
    write(chunk, _encoding, done) {
      taken += chunk
      setImmediate(done)
    },
  })
  const sink = streamSink(slow)
  let waited = 0
  for (let n = 0; n < 20_000; n++) {
    const full = sink.write(LINE)
    if (full !== null) waited++
    await full
  }
  await sink.end()
  await new Promise((resolve) => slow.end(resolve))
  expect(waited).toBeGreaterThan(1)
  expect(taken).toBe(LINE.repeat(20_000))
})
