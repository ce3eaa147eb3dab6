/**
 * Of two lives of a rank on one node the younger is announced when the older, which is dead, is settled. And
 * before the first of a node is announced, its clock is asked for.
 */
import { CLOCK_ASK_MS, CLOCK_TRIP_MS } from '../../lib/limits.ts'
import type { Origin } from '../../lib/record/index.ts'
import type { Hello } from '../../lib/wire/index.ts'
import type { Laws } from './laws.ts'
import type { Connection } from './net.ts'

export class LivesLaw {
  private readonly laws: Laws
  /** Who was named on a connection and is not refused there. */
  private readonly named = new WeakMap<Connection, Set<string>>()
  /** When a connection was first asked anything. */
  private readonly askedAt = new WeakMap<Connection, number>()
  /** Whose clocks are in a ledger. */
  private readonly boots = new Set<string>()

  constructor(laws: Laws) {
    this.laws = laws
  }

  joined({ bootId }: Origin): void {
    this.boots.add(bootId)
  }

  announced(connection: Connection, { instances, blur = 0 }: Hello, now: number): void {
    const origins = instances.map(({ origin }) => origin)
    const askedAt = this.askedAt.get(connection) ?? now
    this.askedAt.set(connection, askedAt)
    const isNew = origins.some(({ bootId }) => !this.boots.has(bootId))
    // Clocks that run too fast are so by a hundredth at most.
    if (isNew && blur > CLOCK_TRIP_MS / 2 && now - askedAt < CLOCK_ASK_MS * 0.98) {
      this.laws.broken('a clock is asked for first', `${origins[0]!.instance} joins, give or take ${blur} ms`)
    }
    const named = this.named.get(connection) ?? new Set<string>()
    this.named.set(connection, named)
    for (const { instance } of origins) named.add(instance)
    for (const { instance, role } of origins) if (role === 'worker') this.alone(instance, named)
  }

  welcomed(connection: Connection, instances: readonly { instance: string; accepted: boolean }[]): void {
    const named = this.named.get(connection)
    for (const { instance, accepted } of instances) if (!accepted) named?.delete(instance)
  }

  private alone(instance: string, named: ReadonlySet<string>): void {
    const { laws } = this
    const younger = laws.journals.get(instance)
    if (younger === undefined) return
    for (const other of named) {
      const older = laws.journals.get(other)
      if (older === undefined || older === younger || older.owner.node !== younger.owner.node) continue
      const [before, after] = [older.sender.origin, younger.sender.origin]
      if (before.role !== 'worker' || before.rank !== after.rank) continue
      // Wall clocks order lives, and may have been set back.
      if (before.startedAt >= after.startedAt || older.owner.diedAt > younger.owner.bornAt) continue
      if (laws.ledgers.some((file) => laws.account(file).ended.has(other))) continue
      laws.broken('the older life is settled first', `${instance} is announced, ${other} has no END`)
    }
  }
}
