/**
 * What ranks name and say is shown to people who did not write it: no name, host, text or error may move the
 * cursor of their terminal, retitle it, or make a line read as another.
 */
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { printable, printableAll } from '../../lib/record/printable.ts'
import { Place } from '../scenario/harness.ts'

const cleanups: (() => void)[] = []
afterEach(() => { for (const clean of cleanups.splice(0)) clean() })

const EVIL = '\u001b[2J\u001b]0;owned\u0007\r\u009b31m\u202e\nrankzero: all is well'
/** Colours of our own are all that may be left, and those only where a person looks. */
const MOVES = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/

const INDEX = JSON.stringify(resolve(import.meta.dirname, '../../dist/index.js'))
const TRAINER = `
import { init } from ${INDEX}
const evil = ${JSON.stringify(EVIL)}
const run = init({ config: { [evil]: evil, nested: { [evil]: [evil] } } })
run.log({ ['loss' + evil]: 1, ok: 2 }, { step: 1 })
run.log({ ok: evil })
run.define(evil + '*', { reduce: 'max' })
run.text(evil)
run.name(evil)
run.tags([evil])
run.other(evil, evil)
run.asset(Buffer.from('a'), { name: evil, type: evil, metadata: { [evil]: evil } })
run.asset(evil)
await new Promise((done) => setTimeout(done, 300))
throw new Error(evil)
`

it('codes stand for controls and direction marks, in keys too; everything else stays', () => {
  expect(printable('a\u001b[31mb\n')).toBe('a\\u001b[31mb\\u000a')
  expect(printable('größe 損失 💥 \\')).toBe('größe 損失 💥 \\')
  expect(printableAll({ '\u0007': ['\u202e', 1, null, { a: '\r' }] }))
    .toEqual({ '\\u0007': ['\\u202e', 1, null, { a: '\\u000d' }] })
})

describe('a job whose rank names, says and throws controls', () => {
  it('is shown by every command without one of them', async () => {
    const at = new Place()
    cleanups.push(() => at.dispose())
    const script = join(at.root, 'trainer.mjs')
    writeFileSync(script, TRAINER)
    const job = await at.run(['run', '--nproc', '1', '--name', 'n', '--', process.execPath, script])
    expect(job.code).toBe(1)
    const ours = job.stderr.split('\n').filter((line) => line.startsWith('rankzero: ')).join('\n')
    expect(ours).toMatch(/rank 0 .* exited with status 1/)
    expect(ours).not.toMatch(MOVES)
    const named = [['status', EVIL], ['export', '--metric', EVIL]]
    const commands = [['status'], ['audit'], ['doctor'], ['sync'], ...named]
    for (const args of commands) {
      const { stdout, stderr } = await at.run(args)
      expect(stdout + stderr, args[0]).not.toMatch(MOVES)
      expect(stdout + stderr, args[0]).not.toMatch(/^rankzero: all is well/m)
    }
    expect((await at.run(['status'])).stdout).toContain('loss\\u001b[2J')
    const { stdout } = await at.run(['console'])
    // A text may be of a language that is written from the right, and stands behind the name of its rank.
    expect(stdout.replaceAll('\u202e', '')).not.toMatch(MOVES)
    expect(at.rows().map(({ metric }) => metric)).toEqual([`loss${EVIL}`, 'ok'])
  })
})
