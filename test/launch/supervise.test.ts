/** The supervisor with real COMMANDs and played daemons (fake-cli.js). */
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listJournals, openReader } from '../../lib/journal/index.ts'
import { Kind } from '../../lib/record/index.ts'
import { CLI, Place, until, type Started } from '../scenario/harness.ts'

const FAKE = JSON.stringify([process.execPath, join(import.meta.dirname, 'fake-cli.js')])
const RUN = '20260101-000000-abcdef'
let place: Place
beforeEach(() => { place = new Place({ RANKZERO_CLI: FAKE }) })
afterEach(() => place.dispose())

const plan = (facts: object): NodeJS.ProcessEnv => ({ FAKE: JSON.stringify(facts) })
/** A shell line as COMMAND; the played session ends when it has touched $RANKZERO_DIR/done. */
const shell = (line: string, ...options: string[]): string[] =>
  ['run', ...options, '--', '/bin/sh', '-c', line]
const DONE = 'touch $RANKZERO_DIR/done'
const calls = (): string[] => {
  const path = join(place.dir, 'calls')
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : []
}

/** What the supervisor wrote in its journal. */
function events(): Record<string, unknown>[] {
  const found: Record<string, unknown>[] = []
  for (const path of listJournals(place.shm)) {
    const reader = openReader(path)
    expect(reader.origin).toMatchObject({ role: 'supervisor', rank: -1 })
    const sink = {
      values: () => {},
      payload(_seq: number, kind: Kind, _time: number, body: Uint8Array) {
        if (kind === Kind.event || kind === Kind.end) found.push(JSON.parse(Buffer.from(body).toString()))
      },
    }
    while (reader.read(sink, 1 << 20) > 0);
    reader.close()
  }
  return found
}

describe('a run', () => {
  it('says its name first, gives workers their places and records how they left', async () => {
    // A rank that failed has the others stopped: this one lets the other go first.
    const line = `echo $RANK/$WORLD_SIZE $RANKZERO_RUN $RANKZERO_DIR
      [ $RANK = 0 ] && exit 0; while [ ! -e "$RANKZERO_DIR/go" ]; do sleep 0.02; done; ${DONE}; exit 3`
    const started = place.start(shell(line, '--nproc', '2'))
    await until('rank 0 is gone', 60_000, () => events().some((event) => event['rank'] === 0))
    writeFileSync(join(place.dir, 'go'), '')
    const done = await started.ended
    expect(done.code, done.stderr).toBe(3)
    expect(done.stderr.split('\n')[0]).toBe(`rankzero: run ${RUN} ${join(place.dir, RUN)}`)
    expect(done.stderr).toMatch(/first failure: rank 1 on \S+ \(pid \d+\) exited with status 3, no step/)
    const lines = done.stdout.trim().split('\n').sort()
    expect(lines).toEqual([0, 1].map((rank) => `rank ${rank}: ${rank}/2 ${RUN} ${place.dir}`))
    expect(events()).toEqual([
      expect.objectContaining({ type: 'started', nproc: 2 }),
      expect.objectContaining({ type: 'worker-exit', stopped: false }),
      expect.objectContaining({ type: 'worker-exit', stopped: false }),
      { type: 'command-exit', exit: 3, signal: null },
      { exit: 3, logged: 0, refused: 0 },
    ])
    expect(calls()[0]).toMatch(/^aggregator \d+ --new /)
  })

  it('stops the others when a worker fails, and marks them as stopped', async () => {
    const line = `[ $RANK = 1 ] && { ${DONE}; exit 5; }; exec sleep 30`
    const done = await place.run(shell(line, '--nproc', '3'))
    expect(done.code, done.stderr).toBe(5)
    const left = events().filter((event) => event['type'] === 'worker-exit')
    const told = left.map(({ rank, stopped }) => [rank, stopped]).sort()
    expect(told).toEqual([[0, true], [1, false], [2, true]])
  })

  it('kills those that do not heed the stop, after the grace', async () => {
    const line = `[ $RANK = 1 ] && { sleep 0.3; exit 5; }; trap '' TERM; while :; do sleep 0.1; done`
    const started = place.start(shell(line, '--nproc', '2'))
    await until('the stubborn one is dead', 60_000, () => events().some((event) => event['rank'] === 0))
    writeFileSync(join(place.dir, 'done'), '')
    const done = await started.ended
    expect(done.code).toBe(5)
    expect(events().find((event) => event['rank'] === 0)).toMatchObject({ signal: 'SIGKILL', stopped: true })
  })

  it('lets them run on with --on-failure continue', async () => {
    const line = `[ $RANK = 1 ] && exit 5; sleep 0.3; ${DONE}; echo through`
    const done = await place.run(shell(line, '--nproc', '2', '--on-failure', 'continue'))
    expect([done.code, done.stdout]).toEqual([5, 'rank 0: through\n'])
  })

  it('passes the session options on to the aggregator, and the keys of trackers to nobody', async () => {
    const env = { COMET_API_KEY: 'secret' }
    const options = ['--key', 'k', '--project', 'p', '--name', '-n']
    const line = `echo "<$COMET_API_KEY>"; ${DONE}`
    const done = await place.run(shell(line, ...options), { ...env, ...plan({ key: 'k-2' }) })
    expect(done.stdout).toBe('<>\n')
    expect(calls()[0]).toContain('--project=p --name=-n --key=k --on-collision fail')
    expect(done.stderr).toContain('key k is held, so this run has k-2')
    expect((await place.run(shell('echo "<$COMET_API_KEY>"', '--pass-keys'), env)).stdout).toBe('<secret>\n')
  })
})

describe('when the session cannot be had', () => {
  it('a held key exits 75 before COMMAND starts and leaves no directory', async () => {
    const error = { code: 'COLLISION', message: "key 'k' is held by run r", remedy: 'wait', detail: {} }
    const done = await place.run(shell('echo started', '--key', 'k'), plan({ error }))
    expect([done.code, done.stdout]).toEqual([75, ''])
    expect(done.stderr).toBe("rankzero: key 'k' is held by run r [COLLISION]\nrankzero: to do: wait\n")
    expect(existsSync(place.dir)).toBe(false)
  })

  it.each([
    ['an aggregator that dies', { silent: true }],
    ['a broken one', { error: { code: 'LEDGER', message: 'disk full', remedy: 'make room' } }],
  ])('%s does not keep COMMAND from running', async (_, facts) => {
    const env = { ...plan(facts), RANKZERO_EXIT_TIMEOUT: '120' }
    const done = await place.run(shell('echo $RANKZERO_RUN; exit 9'), env)
    expect(done.code).toBe(9)
    const run = done.stdout.trim()
    expect(done.stderr).toContain(`rankzero: run ${run} ${join(place.dir, run)}\n`)
    expect(done.stderr).toContain('the session could not be opened')
    expect(done.stderr).toContain(`rankzero sync ${run} --dir ${place.dir}`)
    expect(done.ms, 'it waits for nobody').toBeLessThan(60_000)
  })

  it('a COMMAND that is not there exits 127, one that cannot run 126, without a run', async () => {
    expect((await place.run(['run', '--', 'no-such-program'])).code).toBe(127)
    expect((await place.run(['run', '--', '/etc/passwd'])).code).toBe(126)
    expect(calls()).toEqual([])
  })

  it('a session that does not end is told with what is pending, after the exit timeout', async () => {
    const done = await place.run(shell('exit 4', '--exit-timeout', '0.3'), plan({ never: true }))
    expect(done.code).toBe(4)
    expect(done.stderr).toContain(`run ${RUN} has not ended yet (state live, 2 points pending)`)
    expect(done.stderr).toContain(`rankzero sync ${RUN} --dir ${place.dir}`)
  })

  it('a killed aggregator is started again for the same run', async () => {
    const line = `sleep 0.2; kill -9 $(awk '/^aggregator/ { print $2; exit }' $RANKZERO_DIR/calls)
      while ! grep -q 'aggregator .*--meeting' $RANKZERO_DIR/calls; do sleep 0.05; done; ${DONE}`
    const done = await place.run(shell(line))
    expect(done.code, done.stderr).toBe(0)
    const again = calls().find((call) => call.startsWith('aggregator') && !call.includes('--new'))
    expect(again).toContain(`--meeting ${'f'.repeat(32)} --resume ${RUN}`)
  })
})

const HOLDER = { key: 'k', run: 'other', host: 'h', pid: 7, since: 0, dir: '/d', project: 'p', beat: 0 }

describe('while another run holds the key', () => {
  it('it says once for whom it waits, and COMMAND starts afterwards', async () => {
    const started = place.start(shell(`echo go; ${DONE}`), plan({ waiting: HOLDER }))
    await until('the wait is told', 60_000, () => started.stderr().includes('waiting'))
    expect(started.stderr()).toBe('rankzero: waiting for key k held by run other '
      + '(host h, pid 7, since 1970-01-01T00:00:00.000Z, /d)\n')
    writeFileSync(join(place.dir, 'go'), '')
    expect(await started.ended).toMatchObject({ code: 0, stdout: 'go\n' })
  })

  it('a signal ends the wait with its status, and COMMAND never starts', async () => {
    const started = place.start(shell('echo go'), plan({ waiting: HOLDER }))
    await until('the wait is told', 60_000, () => started.stderr().includes('waiting'))
    started.child.kill('SIGTERM')
    expect(await started.ended).toMatchObject({ code: 143, stdout: '' })
  })
})

/** Resolves when COMMAND has printed this. */
async function shows({ child }: Started, text: string | RegExp): Promise<void> {
  let out = ''
  child.stdout!.on('data', (chunk) => { out += chunk })
  const whole = typeof text === 'string' ? () => out === text : () => text.test(out)
  await until(`COMMAND prints ${text}`, 60_000, whole)
}

/** COMMAND that says how often it was told to go. */
const COUNTING = `n=0; trap 'n=$((n+1))' TERM INT; echo up; i=0
  while [ $i -lt 25 ]; do sleep 0.05; i=$((i+1)); done; echo terms $n; ${DONE}; exit 6`

describe('signals', () => {
  it('TERM reaches COMMAND once; the supervisor stays until COMMAND is done', async () => {
    const started = place.start(shell(COUNTING))
    await shows(started, 'up\n')
    started.child.kill('SIGTERM')
    await until('the signal is recorded', 5000, () => events().some((event) => event['type'] === 'signal'))
    started.child.kill('SIGTERM')
    const done = await started.ended
    expect([done.code, done.stdout]).toEqual([6, 'up\nterms 1\n'])
    expect(events().filter((event) => event['type'] === 'signal')).toHaveLength(2)
  })

  it.each(['SIGTERM', 'SIGINT'] as const)('%s to the group reaches COMMAND once too', async (signal) => {
    const started = place.start(['/usr/bin/setsid', process.execPath, CLI, ...shell(COUNTING)])
    await shows(started, 'up\n')
    process.kill(-started.child.pid!, signal)
    const done = await started.ended
    expect([done.code, done.stdout]).toEqual([6, 'up\nterms 1\n'])
    expect(events().filter((event) => event['type'] === 'signal')).toEqual([{ type: 'signal', signal }])
  })

  it('TERM goes to mpirun behind a shell, and the shell lives to return its status', async () => {
    const mpirun = join(place.root, 'mpirun')
    writeFileSync(mpirun, `#!/bin/sh\ntrap 'echo told; exit 5' TERM; echo up; while :; do sleep 0.05; done\n`)
    chmodSync(mpirun, 0o755)
    const started = place.start(shell(`${mpirun}; s=$?; ${DONE}; exit $s`))
    await shows(started, 'up\n')
    started.child.kill('SIGTERM')
    expect(await started.ended).toMatchObject({ code: 5, stdout: 'up\ntold\n' })
  })

  it('TERM stops all workers, whose end is then no failure of theirs', async () => {
    const line = `trap '${DONE}; exit 143' TERM; echo up; while :; do sleep 0.05; done`
    const started = place.start(shell(line, '--nproc', '2'))
    await shows(started, /^(ranks 0–1: up\n|rank [01]: up\nrank [01]: up\n)$/)
    started.child.kill('SIGTERM')
    const done = await started.ended
    expect(done.code).toBe(143)
    expect(done.stderr).toContain('ended by SIGTERM')
    expect(done.stderr).not.toContain('failure')
    const left = events().filter((event) => event['type'] === 'worker-exit')
    expect(left.map(({ stopped }) => stopped)).toEqual([true, true])
  })

  it('a killed supervisor leaves COMMAND to itself', async () => {
    const started = place.start(shell('echo up; sleep 0.4; echo through > $RANKZERO_DIR/done'))
    await shows(started, 'up\n')
    started.child.kill('SIGKILL')
    await until('COMMAND has finished', 5000, () => existsSync(join(place.dir, 'done')))
    await started.ended
  })
})

type Hand = (shown: () => string, press: (text: string) => void) => Promise<void>

/** On a terminal of its own; `script` keeps the pty. Returns what appeared there. */
function onTerminal(command: string, hand: Hand): Promise<{ code: number | null; shown: string }> {
  // exec: a shell between would take the Ctrl-C for itself and hide the status.
  const words = ['-qefc', `exec ${command}`, '/dev/null']
  const child = spawn('script', words, { env: place.env, cwd: place.root })
  let shown = ''
  child.stdout.on('data', (chunk) => { shown += chunk })
  const ended = new Promise<{ code: number | null; shown: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, shown })))
  return hand(() => shown, (text) => void child.stdin.write(text)).then(() => ended)
}

describe('on a terminal', () => {
  it('Ctrl-C reaches COMMAND from the terminal alone', async () => {
    const line = `n=0; trap 'n=$((n+1)); ints=1' INT; trap 'terms=1' TERM; echo up; i=0
      while [ $i -lt 10 ]; do sleep 0.05; i=$((i+1)); done; echo ints $n terms $terms.; ${DONE}; exit 7`
    writeFileSync(join(place.root, 'command.sh'), line)
    const command = `${process.execPath} ${CLI} run -- /bin/sh ${join(place.root, 'command.sh')}`
    const done = await onTerminal(command, async (shown, press) => {
      await until('COMMAND is up', 60_000, () => shown().includes('up'))
      press('\u0003')
    })
    expect(done.code, done.shown).toBe(7)
    expect(done.shown).toContain('ints 1 terms .')
    const signals = events().filter((event) => event['type'] === 'signal')
    expect(signals).toEqual([{ type: 'signal', signal: 'SIGINT' }])
  })

  it('under nohup COMMAND outlives the terminal, and its end is no signal', async () => {
    const line = `echo up > ${place.root}/up; while [ ! -e ${place.root}/gone ]; do sleep 0.05; done; ${DONE}`
    writeFileSync(join(place.root, 'command.sh'), line)
    const command = `nohup ${process.execPath} ${CLI} run -- /bin/sh ${join(place.root, 'command.sh')}`
    const child = spawn('script', ['-qefc', command, '/dev/null'], { env: place.env, cwd: place.root })
    await until('COMMAND is up', 60_000, () => existsSync(join(place.root, 'up')))
    const gone = new Promise((resolve) => child.on('close', resolve))
    child.kill('SIGKILL')
    await gone
    writeFileSync(join(place.root, 'gone'), '')
    await until('the supervisor has finished', 60_000, () => events().some((event) => event['exit'] === 0))
    expect(events().some((event) => event['type'] === 'signal')).toBe(false)
  })
})
