import { once } from 'node:events'
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import type { Writable } from 'node:stream'
import { messageOf, RankzeroError } from '../errors.ts'
import { EXPORT_CHUNK_CHARS } from '../limits-console.ts'

/** Takes text in order. A promise means: wait for it, the reader is slower than we are. */
export interface Sink {
  write(text: string): Promise<unknown> | null
  end(): Promise<void>
  /** After a failure: nothing half-written stays. */
  discard(): void
}

/** Collects small texts, so that a line costs no call of its own. */
abstract class Chunked implements Sink {
  private chunks: string[] = []
  private size = 0

  write(text: string): Promise<unknown> | null {
    this.chunks.push(text)
    this.size += text.length
    return this.size < EXPORT_CHUNK_CHARS ? null : this.flush()
  }

  protected flush(): Promise<unknown> | null {
    const text = this.chunks.join('')
    this.chunks = []
    this.size = 0
    return text === '' ? null : this.put(text)
  }

  protected abstract put(text: string): Promise<unknown> | null
  abstract end(): Promise<void>
  abstract discard(): void
}

class StreamSink extends Chunked {
  private readonly stream: Writable

  constructor(stream: Writable) {
    super()
    this.stream = stream
  }

  protected put(text: string): Promise<unknown> | null {
    return this.stream.write(text) ? null : once(this.stream, 'drain')
  }

  async end(): Promise<void> {
    await this.flush()
  }

  discard(): void {}
}

class FileSink extends Chunked {
  private readonly path: string
  private readonly temporary: string
  private readonly fd: number
  private open = true

  constructor(path: string) {
    super()
    this.path = path
    this.temporary = `${path}.${process.pid}.tmp`
    this.fd = this.guard(() => openSync(this.temporary, 'wx'))
  }

  protected put(text: string): null {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length;) at += this.guard(() => writeSync(this.fd, bytes, at))
    return null
  }

  async end(): Promise<void> {
    this.flush()
    this.guard(() => fsyncSync(this.fd))
    closeSync(this.fd)
    this.open = false
    this.guard(() => renameSync(this.temporary, this.path))
  }

  discard(): void {
    if (this.open) closeSync(this.fd)
    this.open = false
    rmSync(this.temporary, { force: true })
  }

  private guard<T>(act: () => T): T {
    try {
      return act()
    } catch (error) {
      throw new RankzeroError('USAGE', `cannot write --out ${this.path}: ${messageOf(error)}`,
        'give --out a path in a directory that exists, may be written and has room', { cause: error })
    }
  }
}

export const streamSink = (stream: Writable): Sink => new StreamSink(stream)
/** Under a temporary name beside it, so that whoever finds `path` finds all of it. */
export const fileSink = (path: string): Sink => new FileSink(path)
