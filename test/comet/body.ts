/** What a request carries: bytes as they came, unpacked, and the parts of a form. */
import type { IncomingMessage } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { Refusal } from './refusals.ts'

export interface Part { name: string; fileName: string | null; bytes: Buffer }

/** All bytes of the body; null when the client went away before it was whole. */
export async function readAll(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer)
  } catch {
    return null
  }
  return request.complete ? Buffer.concat(chunks) : null
}

export function unpacked(request: IncomingMessage, wire: Buffer): Buffer {
  const coding = request.headers['content-encoding'] ?? 'identity'
  if (coding === 'identity') return wire
  if (coding !== 'gzip') throw new Refusal(415, `content-encoding ${coding} is not known here`)
  try {
    return gunzipSync(wire)
  } catch {
    throw new Refusal(400, 'the body says gzip and is not')
  }
}

export function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new Refusal(400, 'the body is not JSON')
  }
}

/** The parts of a multipart/form-data body. */
export function partsOf(request: IncomingMessage, bytes: Buffer): Map<string, Part> {
  const type = request.headers['content-type'] ?? ''
  const boundary = /^multipart\/form-data;.*boundary="?([^";]+)"?/i.exec(type)?.[1]
  if (boundary === undefined) throw new Refusal(400, `a form was expected, not ${type}`)
  const parts = new Map<string, Part>()
  const mark = Buffer.from(`--${boundary}`)
  let from = bytes.indexOf(mark)
  for (;;) {
    if (from < 0) throw new Refusal(400, 'the form is cut off')
    from += mark.length
    if (bytes.toString('latin1', from, from + 2) === '--') return parts
    const to = bytes.indexOf(Buffer.concat([Buffer.from('\r\n'), mark]), from)
    const headEnd = bytes.indexOf('\r\n\r\n', from)
    if (to < 0 || headEnd < 0 || headEnd > to) throw new Refusal(400, 'the form is cut off')
    const head = bytes.toString('utf8', from, headEnd)
    const name = /\bname="([^"]*)"/.exec(head)?.[1]
    if (name === undefined) throw new Refusal(400, 'a part of the form has no name')
    const fileName = /\bfilename="([^"]*)"/.exec(head)?.[1] ?? null
    parts.set(name, { name, fileName, bytes: bytes.subarray(headEnd + 4, to) })
    from = to + 2
  }
}
