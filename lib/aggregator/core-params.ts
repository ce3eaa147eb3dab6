/**
 * Params of all ranks, collapsed: one value per key, and who disagrees. Pure.
 *
 * In: `params` bodies and the config of `open` records. Out: a view. Equal values are kept once, whatever the
 * number of ranks; the newest life of a rank speaks for it, so the order of arrival does not matter.
 */
import { isOlder, type Member, type Rank } from './core-model.ts'
import type { ParamStatus } from '../record/run-status.ts'

interface Param {
  /** Distinct values as JSON, and the id of each. */
  values: string[]
  ids: Map<string, number>
  said: Map<Rank, { id: number; member: Member }>
}

export class Params {
  private readonly byKey = new Map<string, Param>()

  set(member: Member, params: unknown): void {
    const { rank } = member
    if (rank === null || typeof params !== 'object' || params === null) return
    for (const [key, value] of Object.entries(params)) {
      let param = this.byKey.get(key)
      if (param === undefined) this.byKey.set(key, param = { values: [], ids: new Map(), said: new Map() })
      const said = param.said.get(rank)
      if (said !== undefined && isOlder(member, said.member)) continue
      param.said.set(rank, { id: idOf(param, JSON.stringify(value) ?? 'null'), member })
    }
  }

  view(): ParamStatus[] {
    return [...this.byKey].map(([key, param]) => viewOf(key, param)).sort((a, b) => (a.key < b.key ? -1 : 1))
  }
}

function idOf(param: Param, json: string): number {
  let id = param.ids.get(json)
  if (id === undefined) {
    id = param.values.length
    param.values.push(json)
    param.ids.set(json, id)
  }
  return id
}

function viewOf(key: string, param: Param): ParamStatus {
  const ranks = new Map<number, number[]>()
  for (const [rank, { id, member }] of param.said) {
    if (member.state === 'rank-conflict') continue
    const list = ranks.get(id)
    if (list === undefined) ranks.set(id, [rank.rank])
    else list.push(rank.rank)
  }
  const values = [...ranks].map(([id, list]) => (
    { value: param.values[id]!, ranks: list.sort((a, b) => a - b) }))
  values.sort((a, b) => b.ranks.length - a.ranks.length || a.ranks[0]! - b.ranks[0]!)
  const said = values.map(({ value, ranks: list }) => (
    { value: JSON.parse(value) as unknown, ranks: rankText(list) }))
  const value = said[0]?.value ?? null
  return said.length < 2 ? { key, value } : { key, value, divergence: said }
}

/** Ascending ranks as `0-63,70`. */
export function rankText(ranks: readonly number[]): string {
  const parts: string[] = []
  for (let i = 0; i < ranks.length; i++) {
    const from = ranks[i]!
    while (i + 1 < ranks.length && ranks[i + 1] === ranks[i]! + 1) i++
    parts.push(from === ranks[i] ? `${from}` : `${from}-${ranks[i]}`)
  }
  return parts.join(',')
}
