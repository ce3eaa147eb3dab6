/**
 * usage: node beside.js COMMAND… : runs the tests, and what provides for them (provision.js) beside them.
 * Tests that need what is not there yet wait for it (provided.ts), by the process in RANKZERO_TEST_PROVISION;
 * who has started one already names it there. Where nothing can be provided, no test is started.
 */
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { PROVISION, provisionRuns } from './stamps.js'

const ended = async (child) => (await once(child, 'exit'))[0] ?? 1

/** Its process and the status to come, once it is known that there is work; null when there is none. */
async function begin() {
  const child = fork(join(import.meta.dirname, 'provision.js'))
  const status = ended(child)
  const first = await Promise.race([once(child, 'message'), status])
  if (typeof first !== 'number') return { pid: child.pid, status }
  if (first !== 0) process.exit(first)
  return null
}

const own = provisionRuns() ? null : await begin()
const env = own === null ? process.env : { ...process.env, [PROVISION]: String(own.pid) }
const [command, ...args] = process.argv.slice(2)
const tests = await ended(spawn(command, args, { stdio: 'inherit', env }))
process.exitCode = tests || await (own?.status ?? 0)
