/** Clock, timers, random numbers and process facts of the present process, as long as this program runs. */
import { context, isInside } from './context.ts'
import type { Event, Process, World } from './world.ts'

class Timer {
  readonly act: () => void
  readonly process: Process
  every: number | null
  event: Event

  constructor(world: World, process: Process, act: () => void, ms: number, every: number | null) {
    this.act = act
    this.process = process
    this.every = every
    this.event = this.schedule(world, ms)
  }

  schedule(world: World, ms: number): Event {
    return world.after(Math.max(1, ms) / this.process.node.rate, this.process, () => {
      if (this.every !== null) this.event = this.schedule(world, this.every)
      this.act()
    })
  }

  unref(): this { return this }
  ref(): this { return this }
  hasRef(): boolean { return true }
}

let installed = false

/** The bundle has its own process: what is replaced stays so. */
export function installGlobals(_: World): void {
  if (installed) return
  installed = true
  const world = (): World => context().world
  const start = (act: () => void, ms: number, every: number | null): Timer => {
    const { current } = world()
    if (current === null) throw new Error('a timer outside of any process')
    if (!current.alive) world().step()
    return new Timer(world(), current, act, ms, every)
  }
  const clear = (timer?: Timer | null): void => {
    if (!(timer instanceof Timer)) return
    timer.event.cancelled = true
    timer.every = null
  }
  Object.assign(globalThis, {
    setTimeout: (act: () => void, ms = 0) => start(act, ms, null),
    setInterval: (act: () => void, ms = 0) => start(act, ms, ms),
    clearTimeout: clear, clearInterval: clear,
    setImmediate: (act: () => void) => start(act, 0, null), clearImmediate: clear,
  })
  Date.now = () => world().current === null ? 0 : world().wall(world().current!.node)
  performance.now = () => world().current === null ? 0 : world().monotonic(world().current!.node)
  Math.random = () => world().random.next()
  installProcess(world)
}

function installProcess(world: () => World): void {
  const real = process
  const { current } = { get current() { return () => world().current } }
  Object.defineProperty(real, 'pid', { get: () => current()?.pid ?? 0 })
  const on = real.on.bind(real)
  Object.assign(real, {
    getuid: () => 1000,
    uptime: () => (world().now - (current()?.bornAt ?? 0)) / 1000,
    on(name: string, handler: (...args: never[]) => void) {
      const { handlers } = current()!
      const known = handlers.get(name) ?? new Set()
      handlers.set(name, known.add(handler))
      return real
    },
    off(name: string, handler: (...args: never[]) => void) {
      current()?.handlers.get(name)?.delete(handler)
      return real
    },
  })
  on('unhandledRejection', (error) => {
    if (isInside()) world().caught(current(), error)
  })
  const write = real.stderr.write.bind(real.stderr)
  // Diaries that have no file yet.
  real.stderr.write = ((text: string) => {
    const process = current()
    if (process === null) return write(text)
    const said = String(text)
    if (process.alive) world().tell(process.name, `: ${said.slice(said.indexOf(']') + 2).trimEnd()}`)
    return true
  }) as typeof real.stderr.write
}
