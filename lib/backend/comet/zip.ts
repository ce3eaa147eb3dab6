import { open, type FileHandle } from 'node:fs/promises'
import { createDeflateRaw } from 'node:zlib'
import { crc32 } from '../../record/crc32.ts'

interface Entry {
  name: Buffer
  crc: number
  packed: number
  size: number
  at: number
}

const LOCAL = 0x04034b50
const DESCRIPTOR = 0x08074b50
const CENTRAL = 0x02014b50
const END = 0x06054b50
/** Sizes follow the data; names are UTF-8. */
const FLAGS = 0x0808
const DEFLATED = 8
const VERSION = 20
/** 1980-01-01: the same content gives the same file. */
const DATE = 0x0021
/** What fits the fields of a zip without extensions. */
const SIZE_MAX = 2 ** 32 - 1

/** A zip that is written from front to back, members deflated. */
export class Zip {
  private readonly file: FileHandle
  private readonly entries: Entry[] = []
  private at = 0

  private constructor(file: FileHandle) {
    this.file = file
  }

  static async create(path: string): Promise<Zip> {
    return new Zip(await open(path, 'w'))
  }

  async add(name: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    const entry: Entry = { name: Buffer.from(name), crc: 0, packed: 0, size: 0, at: this.at }
    await this.write(header(LOCAL, [[VERSION, 2], ...common(entry, true), [0, 2]]), entry.name)
    const deflate = createDeflateRaw()
    const feed = async (): Promise<void> => {
      for await (const chunk of chunks) {
        entry.crc = crc32(chunk, entry.crc)
        entry.size += chunk.length
        if (!deflate.write(chunk)) await new Promise((resume) => deflate.once('drain', resume))
      }
      deflate.end()
    }
    const fed = feed().catch((error: unknown) => deflate.destroy(error as Error))
    for await (const packed of deflate) {
      entry.packed += (packed as Buffer).length
      await this.write(packed as Buffer)
    }
    await fed
    if (entry.size > SIZE_MAX || this.at > SIZE_MAX) throw new Error('is larger than a zip may be')
    await this.write(header(DESCRIPTOR, [[entry.crc, 4], [entry.packed, 4], [entry.size, 4]]))
    this.entries.push(entry)
  }

  /** Durable when it resolves. */
  async end(): Promise<void> {
    const from = this.at
    for (const entry of this.entries) {
      const rest: Field[] = [[0, 2], [0, 2], [0, 2], [0, 2], [0, 4], [entry.at, 4]]
      const fields: Field[] = [[VERSION, 2], [VERSION, 2], ...common(entry, false), ...rest]
      await this.write(header(CENTRAL, fields), entry.name)
    }
    const count = this.entries.length
    await this.write(header(END, [
      [0, 2], [0, 2], [count, 2], [count, 2], [this.at - from, 4], [from, 4], [0, 2],
    ]))
    await this.file.sync()
    await this.file.close()
  }

  async cancel(): Promise<void> {
    await this.file.close()
  }

  private async write(...parts: Uint8Array[]): Promise<void> {
    for (const part of parts) {
      for (let done = 0; done < part.length;) {
        done += (await this.file.write(part, done, part.length - done, this.at + done)).bytesWritten
      }
      this.at += part.length
    }
  }
}

type Field = readonly [value: number, bytes: 2 | 4]

function common({ name, crc, packed, size }: Entry, later: boolean): Field[] {
  const sizes: Field[] = (later ? [0, 0, 0] : [crc, packed, size]).map((each) => [each, 4])
  return [[FLAGS, 2], [DEFLATED, 2], [0, 2], [DATE, 2], ...sizes, [name.length, 2]]
}

function header(signature: number, fields: readonly Field[]): Buffer {
  const bytes = Buffer.alloc(4 + fields.reduce((sum, [, size]) => sum + size, 0))
  let at = bytes.writeUInt32LE(signature)
  for (const [value, size] of fields) {
    at = size === 2 ? bytes.writeUInt16LE(value, at) : bytes.writeUInt32LE(value, at)
  }
  return bytes
}
