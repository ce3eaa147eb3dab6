/**
 * What ranks say of the run beside metrics, parameters and texts: assets, name, tags, others. Pure.
 *
 * In: the bodies of `asset` and `facts` records. Out: a view for the picture, and which assets are new.
 * Invariants: equal assets (record/, identityOf) are one, whoever logs them and how often; the first says the
 * metadata. Others collapse as parameters do; the lowest rank that names the experiment does.
 */
import { ASSETS_SHOWN_MAX, TAGS_MAX } from '../limits-asset.ts'
import { identityOf, Kind, type Asset } from '../record/index.ts'
import type { AssetStatus, ParamStatus } from '../record/run-status.ts'
import type { Member } from './core-model.ts'
import { Params } from './core-params.ts'

/** Null: a body that no logger of ours writes. */
export function assetOf(body: Record<string, unknown>): Asset | null {
  const { name, type, step = null, metadata, size = null, sha256 = null, uri } = body
  const isContent = typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256)
    && typeof size === 'number' && Number.isSafeInteger(size) && size >= 0
  if (typeof name !== 'string' || typeof type !== 'string') return null
  if (!isContent && typeof uri !== 'string') return null
  return {
    name, type, step: typeof step === 'number' ? step : null,
    ...typeof metadata === 'object' && metadata !== null ? { metadata: metadata as Asset['metadata'] } : {},
    size: typeof size === 'number' ? size : null, sha256: typeof sha256 === 'string' ? sha256 : null,
    ...typeof uri === 'string' ? { uri } : {},
  }
}

export interface BesideView {
  name: string | null
  tags: string[]
  others: ParamStatus[]
  assets: { count: number; newest: AssetStatus[] }
}

export class Beside {
  private readonly others = new Params()
  private readonly names = new Map<number, string>()
  private readonly tags = new Set<string>()
  private readonly assets = new Set<string>()
  private newest: AssetStatus[] = []

  take(member: Member, kind: number, body: Record<string, unknown>): void {
    const { rank, origin } = member
    if (rank === null) return
    if (kind === Kind.asset) this.asset(body, origin.node, rank.rank)
    else if (kind === Kind.facts) {
      const { name, tags, others } = body
      if (typeof name === 'string') this.names.set(rank.rank, name)
      this.others.set(member, others)
      for (const tag of Array.isArray(tags) ? tags : []) {
        if (typeof tag === 'string' && this.tags.size < TAGS_MAX) this.tags.add(tag)
      }
    }
  }

  /** Of all ranks, each once. */
  get assetCount(): number {
    return this.assets.size
  }

  view(): BesideView {
    const lowest = Math.min(...this.names.keys())
    return {
      name: this.names.get(lowest) ?? null, tags: [...this.tags], others: this.others.view(),
      assets: { count: this.assetCount, newest: this.newest },
    }
  }

  private asset(body: Record<string, unknown>, host: string, rank: number): void {
    const asset = assetOf(body)
    if (asset === null || this.assets.has(identityOf(asset))) return
    this.assets.add(identityOf(asset))
    const { metadata: _, ...shown } = asset
    this.newest = [...this.newest.slice(1 - ASSETS_SHOWN_MAX), { ...shown, host, rank }]
  }
}
