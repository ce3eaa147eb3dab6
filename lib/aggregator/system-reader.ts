import type { StreamSystem } from '../backend/index.ts'
import type { Entry, Ledger } from '../ledger/index.ts'
import { SYSTEM_TOLD_GROWTH, SYSTEM_TOLD_S } from '../limits-outbox.ts'
import { Kind } from '../record/index.ts'
import { jsonOf } from './core-payload.ts'
import type { Notes } from './core-types.ts'
import { decoded } from './reading.ts'

/** An agent, by its instance. */
interface Node {
  host: string
  /** Aggregator's clock minus its node's, ms. */
  offset: number
  lastSeq: number
  layouts: Map<unknown, string[]>
  /** Of each layout, the step that was told last. */
  told: Map<number, number>
}

/** Single ranks' are in the export. */
const OF_RANKS = 'sys/rank/'

/**
 * The system metrics of a ledger as a stream for backends, numbered from 1, without end (see row-reader.ts).
 * Backends get some of them: the more nodes, and the longer the run, the seldomer, so that they cost little.
 */
export function* readSystems(ledger: Ledger, from: number): Generator<StreamSystem | 'busy' | 'idle', never> {
  const nodes = new Map<string, Node>()
  let n = 0
  for (let pos = 0; ;) {
    for (const entry of ledger.entries(pos + 1)) {
      ;({ pos } = entry)
      for (const sample of take(nodes, entry)) if (++n >= from) yield { n, ...sample }
      yield 'busy'
    }
    yield 'idle'
  }
}

function* take(nodes: Map<string, Node>, entry: Entry): Generator<Omit<StreamSystem, 'n'>> {
  if (entry.type === 'note') {
    if (entry.kind === 'joined') join(nodes, entry.body as Notes['joined'])
    return
  }
  const node = nodes.get(entry.instance)
  const batch = node === undefined ? null : decoded(entry.data)
  if (node === undefined || batch === null) return
  for (const { kind, body } of batch.payloads) if (kind === Kind.layout) learn(node, jsonOf(body))
  const hosts = new Set([...nodes.values()].map(({ host }) => host)).size
  for (const { layout, count, width, seqs, steps, times, values } of batch.groups) {
    const names = node.layouts.get(layout) ?? []
    if (names.length !== width) continue
    for (let i = 0; i < count; i++) {
      const step = steps[i]!
      const last = node.told.get(layout) ?? -Infinity
      if (seqs[i]! <= node.lastSeq) continue
      if (step - last < Math.max(SYSTEM_TOLD_S, hosts, last * SYSTEM_TOLD_GROWTH)) continue
      const shown = names.flatMap((name, column): [string, number][] => {
        const value = values[column * count + i]!
        return name.startsWith(OF_RANKS) || !Number.isFinite(value) ? [] : [[name, value]]
      })
      if (shown.length === 0) continue
      node.told.set(layout, step)
      yield { host: node.host, time: Math.round(times[i]! + node.offset), step, values: shown }
    }
  }
  node.lastSeq = Math.max(node.lastSeq, entry.lastSeq)
}

function join(nodes: Map<string, Node>, { origin, offset, layouts = [] }: Notes['joined']): void {
  if (origin.role !== 'agent' || nodes.has(origin.instance)) return
  const node: Node = { host: origin.node, offset, lastSeq: 0, layouts: new Map(), told: new Map() }
  for (const layout of layouts) learn(node, { ...layout })
  nodes.set(origin.instance, node)
}

function learn({ layouts }: Node, { id, names }: Record<string, unknown>): void {
  if (Array.isArray(names) && !layouts.has(id)) layouts.set(id, names.map(String))
}
