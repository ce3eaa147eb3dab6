// A trainer for tests: leaves in the way that its first argument names. Prints what the test wants to know.
import { execFileSync, fork } from 'node:child_process'
import { appendFileSync, readdirSync } from 'node:fs'
import { isMainThread, Worker } from 'node:worker_threads'
import { init } from '../../dist/index.js'

const scenario = process.argv[2]
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)

const scenarios = {
  async end() {
    const run = init({ project: 'p', name: 'n', key: 'k', config: { lr: 0.1 } })
    const { log } = run
    const before = run.id
    for (let step = 0; step < 100; step++) log({ loss: 1 / (step + 1), acc: -0 }, { step, weight: 2 })
    run.params({ a: 1 })
    run.text('hello')
    run.define('loss', { reduce: 'max' })
    run.resume({ step: 50 })
    log({ loss: 'high' })
    await run.end()
    await run.end()
    const { id, rank, worldSize, localRank, node } = run
    say({ before, id, rank, worldSize, localRank, node })
  },
  async captures() {
    process.stdout.write('before\n')
    const run = init({ capture: true })
    console.log('out %d', 1)
    console.error('err')
    process.stdout.write('par')
    process.stdout.write(Buffer.from('tial 漢\n'))
    process.stdout.write('74697\n'.slice(0, 4), 'hex')
    process.stderr.write('\r 10%')
    process.stderr.write('\r100%')
    process.stdout.write('\n', () => {})
    try { process.stdout.write(null) } catch (error) { console.log(error.code) }
    let told = 0
    run.log({ get loss() { console.log('within'); return told++ } })
    console.log('last, without an end'.slice(0, 4))
    process.stdout.write('no end')
    await run.end()
    process.stdout.write('\nafter\n')
  },
  falls() {
    init().log({ loss: 1 })
  },
  exits() {
    init().log({ loss: 1 })
    process.exit(3)
  },
  throws() {
    init().log({ loss: 1 })
    setTimeout(() => { throw new TypeError('broken') }, 1)
  },
  rejects() {
    init().log({ loss: 1 })
    void Promise.reject(new RangeError('refused'))
  },
  getter() {
    init().log({ a: 1, get b() { process.exit(4) } })
  },
  twice() {
    const run = init({ project: 'p' })
    const again = [undefined, { project: 'p' }, { project: 'q' }, { project: 'r' }]
    say(again.map((options) => init(options) === run))
  },
  async again() {
    const first = init()
    first.log({ a: 1 })
    await first.end()
    first.log({ late: 1 })
    const second = init()
    second.log({ b: 1 })
    say(first !== second)
    await second.end()
  },
  async parent() {
    const run = init(JSON.parse(process.argv[3] ?? '{}'))
    run.log({ parent: 1 })
    const child = fork(process.argv[1], ['child', process.argv[4] ?? '{}'])
    await new Promise((resolve) => child.on('exit', resolve))
    await run.end()
  },
  async child() {
    const run = init(JSON.parse(process.argv[3]))
    run.log({ child: 1 })
    say({ rank: run.rank, worldSize: run.worldSize })
    await run.end()
  },
  async threads() {
    if (!isMainThread) {
      init().log({ thread: 1 })
      return
    }
    const run = init()
    run.log({ main: 1 })
    await new Promise((resolve) => new Worker(process.argv[1], { argv: ['threads'] }).on('exit', resolve))
    await run.end()
  },
  wrong() {
    try {
      init({ rank: 3, worldSize: 2 })
    } catch (error) {
      say({ code: error.code, message: error.message, remedy: error.remedy })
    }
  },
  hangs() {
    init().log({ a: 1 })
    say('ready')
    setInterval(() => {}, 1000)
  },
  /** Everything is full at first; then `argv[3]`, where it is mounted, is made larger. */
  async late() {
    const [place, journals, when] = process.argv.slice(3)
    const { log, ...run } = init({ project: 'p', config: { lr: 0.1 } })
    run.params({ a: 1 })
    run.define('loss', { reduce: 'max' })
    for (let i = 0; i < 10; i++) run.text('t'.repeat(100_000))
    for (let step = 0; step < 1000; step++) log({ loss: 1, acc: step }, { step })
    log({ loss: 'high' })
    for (let step = 0; step < 500; step++) log({ loss: 1 }, { step: 1000 + step, weight: 2 })
    execFileSync('mount', ['-o', 'remount,size=128m', place])
    const isOpen = () => readdirSync(journals).some((name) => name.endsWith('.jnl'))
    while (when === 'meanwhile' && !isOpen()) await new Promise((resolve) => setTimeout(resolve, 5))
    for (let step = 0; step < 100; step++) log({ loss: 2, val: step }, { step: 2000 + step })
    say({ id: run.id })
    await run.end()
  },
  beats() {
    init().log({ a: 1 })
    say('ready')
    setTimeout(() => process.exit(0), Number(process.argv[3]))
  },
}

process.on('warning', (warning) => appendFileSync(2, `${warning.name}\n`))
await scenarios[scenario]()
