/**
 * The world of one simulation: time, nodes, processes, and who runs now.
 *
 * In: events, each of one process, on one queue ordered by time and number. Out: the same order for the same
 * seed.
 * Invariants: one event at a time, its microtasks with it; a process sees only its own node's clock, files
 * and name; what a dead process does has no effect; a stopped one does nothing until it goes on.
 * It knows nothing of rankzero.
 */
import { Disk, SystemError } from './disk.ts'
import { Random } from './random.ts'

/** Thrown through the code of a process at the step where it is killed. */
export class Killed extends Error {}

/** A promise of rankzero that does not hold. */
export class Violation extends Error {
  readonly law: string

  constructor(law: string, message: string) {
    super(message)
    this.law = law
  }
}

export interface Event {
  at: number
  order: number
  process: Process | null
  act: () => void
  cancelled: boolean
}

export interface Node {
  readonly name: string
  readonly address: string
  disk: Disk
  /** Its contents go with the node's power. */
  shm: Disk
  bootId: string
  boots: number
  up: boolean
  /** For good. */
  lost: boolean
  /** Wall clock less true time, ms. */
  offset: number
  /** Its clock's ms per true ms. */
  rate: number
}

export interface Process {
  readonly pid: number
  readonly node: Node
  readonly role: string
  readonly name: string
  /** Clock ticks since boot, as in /proc. */
  readonly started: number
  /** True time, ms. */
  readonly bornAt: number
  alive: boolean
  stopped: boolean
  exit: number | null
  signal: string | null
  diedAt: number
  /** Steps are calls that reach outside: where a kill can come between. */
  steps: number
  /** Killed at this step; 0: not so. */
  dieAt: number
  /** ms that calls of the present event took. */
  spent: number
  /** What waited for a slow call comes right after it: one that is slow again goes on with the same time. */
  busySince: number
  busyUntil: number
  /** The longest time (ms) in one go that its disk was slow, or it was stopped. */
  heldUp: number
  /** It was stopped for so long that its locks on the shared disk went to others. */
  leaseLost: boolean
  readonly deferred: Event[]
  readonly handlers: Map<string, Set<(...args: never[]) => void>>
  /** The kernel's work when it is gone. */
  readonly cleanups: Set<() => void>
  /** Its parent has seen its status. */
  reaped: boolean
}

const EPOCH = 1_700_000_000_000

export class World {
  now = 0
  current: Process | null = null
  readonly seed: number
  readonly nodes: Node[] = []
  readonly shared = new Disk()
  readonly processes = new Map<number, Process>()
  readonly transcript: string[] = []
  /** Of everything that happened: equal for equal runs. */
  hash = 0
  keepTranscript = false
  events = 0
  whenShmGoes: (shm: Disk) => void = () => {}
  violation: Violation | null = null
  /** Checked after each event. */
  check: () => void = () => {}
  /** For what the code under test draws. */
  readonly random: Random
  private readonly heap: Event[] = []
  private order = 0
  private pids = 100

  constructor(seed: number) {
    this.seed = seed
    this.random = new Random(seed, 1)
  }

  addNode(name: string, offset: number, rate: number): Node {
    const address = `10.0.0.${this.nodes.length + 1}`
    const node: Node = {
      name, address, disk: new Disk(), shm: new Disk(), bootId: this.random.hex(16), boots: 1, up: true,
      lost: false,
      offset: EPOCH + offset, rate,
    }
    this.nodes.push(node)
    return node
  }

  // --- time

  wall(node: Node): number {
    return Math.floor(node.offset + this.now * node.rate + this.spent())
  }

  monotonic(node: Node): number {
    return this.now * node.rate + this.spent()
  }

  private spent(): number {
    return this.current?.spent ?? 0
  }

  /** The present event of a process takes so long (a slow disk, say): the process does nothing else then. */
  spend(ms: number): void {
    if (this.current !== null) this.current.spent += ms
  }

  after(ms: number, process: Process | null, act: () => void): Event {
    return this.at(this.now + this.spent() + Math.max(0, ms), process, act)
  }

  at(time: number, process: Process | null, act: () => void): Event {
    const event: Event = { at: time, order: ++this.order, process, act, cancelled: false }
    push(this.heap, event)
    return event
  }

  /** Runs until `time`, or until `done` says so, or a law is broken. */
  async run(time: number, done: () => boolean = () => false): Promise<void> {
    while (this.violation === null && !done()) {
      const event = this.heap[0]
      if (event === undefined || event.at > time) {
        this.now = Math.max(this.now, time)
        return
      }
      pop(this.heap)
      if (event.cancelled) continue
      const { process } = event
      if (process !== null) {
        if (!process.alive) continue
        if (process.stopped) {
          process.deferred.push(event)
          continue
        }
        if (process.busyUntil > event.at) {
          event.at = process.busyUntil
          event.order = ++this.order
          push(this.heap, event)
          continue
        }
      }
      this.now = event.at
      await this.perform(process, event.act)
    }
  }

  private async perform(process: Process | null, act: () => void): Promise<void> {
    this.events++
    this.current = process
    try {
      act()
    } catch (error) {
      this.caught(process, error)
    }
    // What hangs on it runs as this process too, also when that has just died.
    if (process !== null) await drained()
    if (process !== null && process.spent > 0) {
      this.busy(process)
      this.holdUp(process, this.now + process.spent)
      process.spent = 0
    }
    this.current = null
    try {
      this.check()
    } catch (error) {
      this.caught(null, error)
    }
  }

  /** The code under test may catch what a law throws through it: the law is broken all the same. */
  broken(law: string, message: string): never {
    const violation = new Violation(law, message)
    this.violation ??= violation
    throw violation
  }

  caught(process: Process | null, error: unknown): void {
    if (error instanceof Killed || this.violation !== null) return
    if (error instanceof Violation) {
      this.violation = error
      return
    }
    const text = error instanceof Error ? error.stack ?? error.message : String(error)
    this.violation = new Violation(process === null ? 'simulator' : 'no process dies by itself',
      `${process?.name ?? ''} threw ${text}`)
  }

  /** Its main function threw: what the system refused ends it with a status, anything else is a bug. */
  fails(process: Process, error: unknown): void {
    const { name } = error as Error
    const refused = error instanceof SystemError || name === 'RankzeroError'
    if (!refused) return this.caught(process, error)
    this.tell(process.name, `gives up: ${(error as Error).message}`)
    this.kill(process, null, 1)
  }

  // --- processes

  spawn(node: Node, role: string, name: string, main: (process: Process) => void): Process {
    const pid = ++this.pids
    const process: Process = {
      pid, node, role, name: `${name}#${pid}`, started: Math.floor(this.now / 10) + 1, bornAt: this.now,
      alive: true, stopped: false, exit: null, signal: null, diedAt: Infinity, steps: 0, dieAt: 0, spent: 0,
      busySince: 0, busyUntil: 0, heldUp: 0, leaseLost: false,
      deferred: [], handlers: new Map(), cleanups: new Set(), reaped: false,
    }
    this.processes.set(pid, process)
    this.tell(process.name, 'starts')
    this.after(1, process, () => main(process))
    return process
  }

  /** Called by every seam: here a process can be killed. */
  step(): void {
    const process = this.current
    if (process === null) return
    if (!process.alive) throw new Killed()
    process.steps++
    if (process.dieAt > 0 && process.steps >= process.dieAt) {
      this.kill(process, 'SIGKILL')
      throw new Killed()
    }
  }

  /** SIGKILL, or its own end. */
  kill(process: Process, signal: string | null, exit: number | null = null): void {
    if (!process.alive) return
    process.alive = false
    if (process.stopped) this.holdUp(process, this.now)
    process.signal = signal
    process.exit = exit
    process.diedAt = this.now
    this.tell(process.name, signal === null ? `exits with ${exit}` : `dies of ${signal}`)
    const { cleanups } = process
    process.deferred.length = 0
    for (const cleanup of cleanups) cleanup()
    cleanups.clear()
    // Some parents are late to look.
    this.after(process.pid % 3 === 0 ? 1500 : 20, null, () => { process.reaped = true })
  }

  signal(process: Process, name: string): void {
    const handlers = [...process.handlers.get(name) ?? []]
    this.tell(process.name, `gets ${name}`)
    this.after(0, process, () => {
      if (handlers.length === 0) this.kill(process, name)
      for (const handler of handlers) handler()
    })
  }

  private busy(process: Process): void {
    if (process.busyUntil < this.now) process.busySince = this.now
  }

  private holdUp(process: Process, until: number): void {
    process.busyUntil = Math.max(process.busyUntil, until)
    process.heldUp = Math.max(process.heldUp, process.busyUntil - process.busySince)
  }

  stop(process: Process): void {
    if (!process.alive || process.stopped) return
    process.stopped = true
    this.busy(process)
    this.tell(process.name, 'is stopped')
  }

  resume(process: Process): void {
    if (!process.stopped) return
    process.stopped = false
    this.holdUp(process, this.now)
    this.tell(process.name, 'goes on')
    for (const event of process.deferred.splice(0)) {
      event.at = this.now
      event.order = ++this.order
      push(this.heap, event)
    }
  }

  alive(role: string, node?: Node): Process[] {
    return [...this.processes.values()].filter((process) =>
      process.alive && process.role === role && (node === undefined || process.node === node))
  }

  /** Power is gone: all processes, shared memory, and what was not synced. */
  crash(node: Node, random: Random): void {
    this.tell(node.name, 'loses power')
    for (const process of this.processes.values()) {
      if (process.node === node) this.kill(process, 'POWER')
    }
    node.up = false
    this.whenShmGoes(node.shm)
    node.shm = new Disk()
    node.disk.losePower(random)
  }

  boot(node: Node): void {
    node.up = true
    node.boots++
    node.bootId = this.random.hex(16)
    this.tell(node.name, 'boots')
  }

  // --- what happened

  tell(who: string, what: string): void {
    let { hash } = this
    for (let i = 0; i < what.length; i++) hash = (Math.imul(hash, 31) + what.charCodeAt(i)) | 0
    this.hash = hash
    this.mix(this.now)
    if (!this.keepTranscript) return
    this.transcript.push(`${this.now.toFixed(1).padStart(9)} ${who.padEnd(20)} ${what}`)
  }

  /** What is too frequent to be told in words unless somebody reads them. */
  mix(n: number): void {
    this.hash = (Math.imul(this.hash, 31) + (n | 0) + Math.floor((n % 1) * 1e6)) | 0
  }
}

/** The real one, whatever the simulation puts in its place. */
const immediate = globalThis.setImmediate
const drained = (): Promise<void> => new Promise((resolve) => { immediate(resolve) })

const before = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

function push(heap: Event[], event: Event): void {
  let at = heap.length
  heap.push(event)
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!before(event, heap[parent]!)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = event
}

function pop(heap: Event[]): void {
  const last = heap.pop()!
  if (heap.length === 0) return
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
    if (!before(heap[child]!, last)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
}
