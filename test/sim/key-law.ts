/** One holder per key: it rests when its holder died, and is freed when the end of its session is durable. */
import { createHash } from 'node:crypto'
import { KEY_FREE_MS } from '../../lib/limits.ts'
import type { Disk } from './disk.ts'
import type { Laws } from './laws.ts'
import type { LedgerFile } from './seams/ledger.ts'
import type { Process, World } from './world.ts'

const LAW = 'one holder per key'

export class KeyLaw {
  private readonly laws: Laws
  private readonly world: World
  private readonly held = new Map<string, { run: string; process: Process; at: number }>()
  private readonly names = new Map<string, string>()

  constructor(laws: Laws, world: World) {
    this.laws = laws
    this.world = world
  }

  advanced(path: string, before: Record<string, string>, after: Record<string, string>, term: number): void {
    const { run, ended } = after
    if (run === undefined) return
    const { node } = this.world.current!
    const place = path.startsWith('/shared') ? path : `${node.name}${path}`
    const held = this.held.get(place)
    const other = held !== undefined && held.run !== run
    if (other && before['ended'] !== '1' && !this.laws.clocksLie) {
      const { alive, diedAt, heldUp, leaseLost } = held.process
      // Who died in the moment that it got it has given no beat, and done nothing under it.
      const never = leaseLost || diedAt <= held.at
      const now = this.world.now + this.world.current!.spent
      const rested = never ? Infinity : alive ? -Infinity : now - diedAt
      // Its last beat may be a second older, or older than what held it up, and is by its own node's clock.
      const ahead = Math.max(0, this.world.wall(node) - this.world.wall(held.process.node))
      if (rested < KEY_FREE_MS - 1500 - heldUp - ahead) {
        const until = `that run ${held.run} had until ${rested} ms ago`
        this.laws.broken(LAW, `run ${run} takes the key ${until}`)
      }
    }
    if (ended === '0') this.held.set(place, { run, process: this.world.current!, at: this.world.now })
    if (ended === '1') this.ended(run)
    this.world.mix(term)
  }

  /** A key is free for others only when the end of its session is in the ledger. */
  private ended(run: string): void {
    const file = this.laws.ledgers.find(({ path }) => path.includes(run))
    const session = file === undefined ? null : this.laws.account(file).session
    if (session === null || session.state === 'ended') return
    this.laws.broken(LAW, `the key of run ${run} is freed while its session is ${session.state}`)
  }

  /** Who is live under a key holds it. */
  check(process: Process, file: LedgerFile): void {
    const { session } = this.laws.account(file)
    if (session === null || !session.explicit || !['live', 'draining'].includes(session.state)) return
    const { lockDir } = this.laws
    const name = this.nameOf(session.project, session.key)
    const holder = this.diskOf(lockDir, process).locks.get(`${lockDir}/${name}.lock`)?.holder
    if (holder === process) return
    const fence = this.diskOf(file.path, process).locks.get(file.path.replace('ledger.sqlite', 'term.lock'))
    if (fence?.holder !== process) return
    this.laws.broken(LAW, `${process.name} is ${session.state} without its key '${session.key}'`)
  }

  private diskOf(path: string, { node }: Process): Disk {
    return path.startsWith('/shared') ? this.world.shared : node.disk
  }

  private nameOf(project: string, key: string): string {
    const text = `${project}\0${key}`
    const known = this.names.get(text) ?? createHash('sha256').update(text).digest('hex')
    this.names.set(text, known)
    return known
  }
}
