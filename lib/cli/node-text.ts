/** The part of `rankzero status` about nodes: their newest system metrics. */
import { count } from '../launch/progress.ts'
import type { NodeStatus } from '../record/run-status.ts'

/** More nodes than a screen holds are counted, not listed; --json has all of them. */
const LISTED_MAX = 8

export function nodeFields(nodes: readonly NodeStatus[]): [string, string][] {
  const lines = nodes.slice(0, LISTED_MAX).map(nodeText)
  const more = nodes.length - lines.length
  if (more > 0) lines.push(`… ${count(more)} more nodes (--json has all)`)
  return lines.map((line, at) => [at === 0 ? 'nodes' : '', line])
}

function nodeText({ host, values }: NodeStatus): string {
  const parts: string[] = []
  const of = (name: string): number | null => values[name] ?? null
  const [cpu, memory, all] = [of('cpu'), of('memory'), of('memory/total')]
  if (cpu !== null) parts.push(`cpu ${Math.round(cpu)} %`)
  if (memory !== null && all !== null) parts.push(`memory ${gib(memory)} of ${gib(all)} GiB`)
  const gpus = Object.keys(values).filter((name) => /^gpu\/\d+\/utilization$/.test(name))
  if (gpus.length > 0) parts.push(`gpu ${gpus.map((name) => `${Math.round(values[name]!)} %`).join(', ')}`)
  return `${host}: ${parts.join(', ')}`
}

const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(1)
