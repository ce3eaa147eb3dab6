/**
 * A process that owns a journal, for tests that read it meanwhile or kill it. Argument: JSON as below.
 * Lines on stdout: the journal's path, then steps whose commit has returned (every 64th), then `closed`.
 */
import { writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { createJournal, newInstanceId, procStart } from '../../dist/journal/index.js'
import { pidNamespace } from '../../dist/journal/process.js'

const { dir, ringBytes, steps, overflowCap } = JSON.parse(process.argv[2])
const origin = {
  instance: newInstanceId(), meeting: '0'.repeat(32), run: null, role: 'worker', rank: 0, worldSize: 1,
  localRank: 0, node: hostname(), bootId: '', pidns: pidNamespace(), pid: process.pid,
  procStart: procStart(process.pid), startedAt: Date.now(), dir, cli: '[]',
}
const env = { RANKZERO_SHM_DIR: dir }
const writer = createJournal({ origin, env, overflowCap, ringBytes, localWorldSize: 1 })
writeSync(1, `${writer.path}\n`)
writer.define(0, ['a', 'b'], 0)
writer.define(1, ['c'], 0)
for (let step = 0; step < steps; step++) {
  const weighted = step % 3 === 0
  const count = step % 5 === 0 ? 1 : 2
  const at = writer.begin(count, weighted)
  if (at < 0) {
    writer.drop(count === 1 ? 1 : 0, count)
  } else {
    for (let i = 0; i < count; i++) writer.f64[at + i] = step * 1.5 + i
    writer.commit(count === 1 ? 1 : 0, count, step, weighted ? step / 7 : NaN, step)
  }
  if (step % 64 === 0) writeSync(1, `${step}\n`)
}
writer.close()
writeSync(1, 'closed\n')
