/** Bytes in words: frames for the transcript, spool files for the laws. */
import { Entry, jsonOf, scanEntries, type SkipBody } from '../../lib/agent/core-spool.ts'
import { decodeFrame, FRAME_TYPES, peekBatch } from '../../lib/wire/index.ts'
import type { Disk } from './disk.ts'

export function inWords(bytes: Uint8Array): string {
  const short = (instance: string): string => instance.slice(0, 6)
  if (bytes[1] === FRAME_TYPES.BATCH) {
    const { instance, firstSeq, lastSeq } = peekBatch(bytes.subarray(8, bytes.length - 4))
    return `BATCH ${short(instance)} ${firstSeq}-${lastSeq}`
  }
  const { type, term, body } = decodeFrame(bytes)
  if (type === 'ACK') return `ACK ${short(body.instance)} ${body.seq}${body.ended === true ? ' ended' : ''}`
  if (type === 'SKIP') return `SKIP ${short(body.instance)} ${body.from}-${body.to}: ${body.cause}`
  if (type === 'END') return `END ${short(body.instance)} ${body.seq}`
  if (type === 'REFUSE') return `REFUSE ${body.message}`
  if (type === 'HELLO') {
    const told = body.instances.map(({ origin, first }) => `${short(origin.instance)} from ${first}`)
    return `HELLO ${told.join(', ')}`
  }
  if (type === 'WELCOME') {
    return `WELCOME term ${term} ${body.instances.map(({ instance, acked, accepted, why }) =>
      `${short(instance)} ${accepted ? acked : `no: ${why}`}`).join(', ')}`
  }
  return type
}

/** Ranges of seq that the platter has for an instance. */
export function spoolOf(disk: Disk, instance: string): [number, number][] {
  const ranges: [number, number][] = []
  for (const [path, { synced }] of disk.files) {
    if (synced === null || !path.includes(instance) || !path.endsWith('.spool')) continue
    for (const { type, body } of scanEntries(instance, synced).entries) {
      if (type === Entry.batch) {
        const { firstSeq, lastSeq } = peekBatch(body)
        ranges.push([firstSeq, lastSeq])
      } else if (type === Entry.skip) {
        const { from, to } = jsonOf<SkipBody>(body)
        ranges.push([from, to])
      }
    }
  }
  return ranges
}
