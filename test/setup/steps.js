/**
 * What an installer does, with its time on stdout and its output on record: provision.js of the tests, and
 * install.js of bench/.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'

const LOG_LINES_SHOWN = 30

export const ask = (code) => spawnSync('python3', ['-c', code], { encoding: 'utf8' }).stdout?.trim() ?? ''

/** What these files ask for, for this Python: another version of anything is another key. */
export function keyOf(paths, more = '') {
  const hash = createHash('sha256').update(ask('import sys; print(sys.version)')).update(more)
  for (const path of paths) hash.update(readFileSync(path))
  return hash.digest('hex').slice(0, 16)
}

/** `who` is at the head of each line; `path` gets what the commands print. */
export function makeSteps(who, path) {
  let log = null
  const since = (begun) => ((performance.now() - begun) / 1000).toFixed(1)

  function run(command, args, ms, { env = {}, cwd } = {}) {
    return new Promise((done, fail) => {
      log.write(`\n$ ${command} ${args.join(' ')}\n`)
      const child = spawn(command, args, {
        env: { ...process.env, ...env }, cwd, stdio: ['ignore', 'pipe', 'pipe'],
        timeout: ms, killSignal: 'SIGKILL',
      })
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => log.write(chunk))
      child.on('error', fail)
      child.on('close', (code, signal) => {
        if (code === 0) return done()
        const end = signal ? `${signal}, after at most ${ms / 1000} s` : `status ${code}`
        fail(new Error(`${command} ${args.join(' ')}: ${end}`))
      })
    })
  }

  async function step(what, work) {
    const begun = performance.now()
    console.log(`${who}: ${what} …`)
    await work()
    console.log(`${who}: ${what}: ${since(begun)} s`)
  }

  /** Does all of it, says how long it took, or shows the end of the record and sets the exit status to 1. */
  async function whole(work) {
    const begun = performance.now()
    mkdirSync(dirname(path), { recursive: true })
    log = createWriteStream(path)
    try {
      await work()
      console.log(`${who}: complete after ${since(begun)} s`)
    } catch (error) {
      await new Promise((done) => log.end(done))
      const said = readFileSync(path, 'utf8').trimEnd().split('\n').slice(-LOG_LINES_SHOWN)
      console.error([...said, `${who}: ${error.message}`, `${who}: all output is in ${path}`].join('\n'))
      process.exitCode = 1
    }
  }
  return { run, step, whole }
}
