import { contentOf, isThere, type Content } from '../../artifact/index.ts'
import { messageOf } from '../../errors.ts'
import { ASSETS_ASIDE_BYTES_MAX, ASSETS_ASIDE_MAX, ASSET_SEND_MS } from '../../limits-asset.ts'
import { COMET_BATCH_BYTES, COMET_PAGE_BYTES_MAX } from '../../limits-comet.ts'
import type { Cursor, Outcome, StreamAsset, Writer } from '../port.ts'
import { isAnswer } from './core-answer.ts'
import { assetIdOf, contentOfAsset, idsOf, isPage, page, upload } from './core-assets.ts'
import { listAssets } from './core-requests.ts'
import type { Experiment } from './experiment.ts'

/**
 * Uploads assets, one call each, in order.
 *
 * Exactly once as far as the server tells: after a restart, an ambiguous failure or an upload by others, the
 * ids that are there are asked for before anything is sent again.
 * An asset whose content is not here is put aside, so that others do not wait for it; the cursor remembers
 * it, and at the end it is looked for again.
 */
export class Assets implements Writer<StreamAsset> {
  readonly can = {
    rowsMax: 1, bytesMax: COMET_BATCH_BYTES, ageMs: 0, amends: true, sendMs: ASSET_SEND_MS,
  }
  private readonly experiment: () => Experiment
  /** Of the store: the directory above that of the run. */
  private readonly parent: string
  private known: Set<string> | null = null
  private aside: StreamAsset[] = []

  constructor(experiment: () => Experiment, parent: string) {
    this.experiment = experiment
    this.parent = parent
  }

  encode = (asset: StreamAsset): { data: Uint8Array; values: number } =>
    ({ data: Buffer.from(JSON.stringify(asset)), values: 1 })

  pack = (parts: readonly Uint8Array[]): Uint8Array => parts[0]!

  progress(): { bytes: number; aside: number } {
    return { bytes: this.experiment().sentBytes, aside: this.aside.length }
  }

  open(cursor: Cursor): Promise<Outcome> {
    const { aside } = cursor ?? {}
    this.aside = Array.isArray(aside) ? aside as StreamAsset[] : []
    this.known = null
    return this.experiment().open('asset')
  }

  async write(data: Uint8Array, signal: AbortSignal): Promise<Outcome> {
    const asset = JSON.parse(Buffer.from(data).toString()) as StreamAsset
    if (!this.isHere(asset)) {
      const aside = [...this.aside, asset]
      const bytes = JSON.stringify(aside).length
      const isTooMuch = aside.length > ASSETS_ASIDE_MAX || bytes > ASSETS_ASIDE_BYTES_MAX
      if (isTooMuch) return { is: 'later', message: this.whereIs(asset), stuck: true }
      this.aside = aside
      return this.done()
    }
    const outcome = await this.send(asset, signal)
    return outcome.is === 'done' ? this.done() : outcome
  }

  /** What was put aside, as far as it is here by now. */
  async end(_: string, signal: AbortSignal): Promise<Outcome> {
    for (const asset of [...this.aside]) {
      if (!this.isHere(asset)) continue
      const outcome = await this.send(asset, signal)
      if (outcome.is !== 'done' && outcome.is !== 'refused') return outcome
      this.aside = this.aside.filter((one) => one !== asset)
    }
    const { warning } = this
    return warning === '' ? { is: 'done' } : { is: 'later', message: warning, stuck: true }
  }

  /** What somebody has to bring here; ''. */
  get warning(): string {
    const [first, ...more] = this.aside
    if (first === undefined) return ''
    return `${this.whereIs(first)}${more.length === 0 ? '' : `; so are ${more.length} more`}`
  }

  private done(): Outcome {
    return { is: 'done', ...this.aside.length === 0 ? {} : { cursor: { aside: this.aside } } }
  }

  private isHere(asset: StreamAsset): boolean {
    const content = contentOfAsset(asset)
    return content === null || isThere(this.parent, content)
  }

  private whereIs({ name, host, sha256 }: StreamAsset): string {
    return `the content of ${name} is on ${host}, which shares no run directory with this node: copy `
      + `.assets/${sha256} from there to ${this.parent}/.assets, then: rankzero sync`
  }

  private async send(asset: StreamAsset, signal: AbortSignal): Promise<Outcome> {
    if (isPage(asset)) return this.sendPage(contentOfAsset(asset)!, signal)
    const experiment = this.experiment()
    const { handle } = experiment
    if (handle === null) return { is: 'later', message: 'comet is not open' }
    if (this.known === null) {
      const { outcome, got } = await experiment.send(listAssets(handle.key), 'asset/list', signal)
      if (outcome.is !== 'done' && outcome.is !== 'refused') return outcome
      this.known = idsOf('status' in got && isAnswer(got) ? got.body : null) ?? new Set()
    }
    const id = assetIdOf(experiment.run, asset)
    if (this.known.has(id)) return { is: 'done' }
    const { outcome } = await experiment.send(upload(handle, asset, id), `upload of ${asset.name}`, signal)
    if (outcome.is === 'done') this.known.add(id)
    else if (outcome.is === 'unsure') this.known = null
    return outcome
  }

  /** Overwrites the one before, so that one that is sent again is no harm. */
  private async sendPage(content: Content, signal: AbortSignal): Promise<Outcome> {
    const html = await pageOf(this.parent, content)
    if (typeof html !== 'string') return { is: 'refused', message: html.why }
    const experiment = this.experiment()
    return (await experiment.send(page(experiment.key, html), 'html', signal)).outcome
  }
}

export async function pageOf(parent: string, content: Content): Promise<string | { why: string }> {
  if (content.size > COMET_PAGE_BYTES_MAX) {
    return { why: `a page of ${content.size} bytes is more than ${COMET_PAGE_BYTES_MAX}: log it as an asset` }
  }
  const parts: Uint8Array[] = []
  try {
    for await (const part of contentOf(parent, content)) parts.push(part)
  } catch (error) {
    return { why: messageOf(error) }
  }
  return Buffer.concat(parts).toString()
}
