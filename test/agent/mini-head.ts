import { hostname } from 'node:os'
import { procStart } from '../../lib/journal/index.ts'
import { meetingSecretPath, removeMeeting, writeMeeting } from '../../lib/lock/meeting.ts'
import type { Origin } from '../../lib/record/index.ts'
import { bindRouter, ensureKeys, type Router } from '../../lib/transport/index.ts'
import {
  decodeBatch, decodeFrame, encodeFrame, type Batch, type Bodies, type End, type FrameType, type Skip,
} from '../../lib/wire/index.ts'

export interface Book {
  origin: Origin
  first: number
  acked: number
  batches: Batch[]
  skips: Skip[]
  end: End | null
}

interface HeadOptions {
  term?: number
  ledger?: string
  books?: Map<string, Book>
  /** Without it no agent samples its node. */
  startedAt?: number
  /** Said before each WELCOME, as if it came from a run of before. */
  ghost?: Partial<Bodies['WELCOME']>
}

/** A head that keeps what it gets in memory: admits like core-admit, acknowledges at once. */
export class MiniHead {
  readonly books: Map<string, Book>
  readonly frames: string[] = []
  /** Takes frames and answers nothing, as a stopped process would. */
  mute = false
  refuseAll = false
  #router!: Router
  #term: number
  #dir: string
  #ledger: string
  #startedAt: number | undefined
  #ghost: HeadOptions['ghost']

  constructor(dir: string, o: HeadOptions = {}) {
    this.#dir = dir
    this.#term = o.term ?? 1
    this.#ledger = o.ledger ?? 'ledger-1'
    this.#startedAt = o.startedAt
    this.#ghost = o.ghost
    this.books = o.books ?? new Map()
  }

  async listen(lockDir: string, meeting: string): Promise<this> {
    this.#router = await bindRouter({
      host: '127.0.0.1', port: 0, keys: ensureKeys(meetingSecretPath(lockDir, meeting)),
      onFrame: (peer, frame) => this.#take(Buffer.from(peer), frame),
    })
    writeMeeting(lockDir, {
      meeting, run: 'run-1', dir: this.#dir, host: '127.0.0.1', hostname: hostname(), port: this.#router.port,
      pid: process.pid,
      procStart: procStart(process.pid), term: this.#term, ledger: this.#ledger, key: 'k', state: 'live',
    })
    this.#forget = () => removeMeeting(lockDir, meeting)
    return this
  }

  /** `clean`: with the meeting file, as after an end; else as after a kill. */
  close(clean = true): void {
    this.#router.close()
    if (clean) this.#forget()
  }

  #forget: () => void = () => {}

  #take(peer: Buffer, bytes: Buffer): void {
    if (this.mute) return
    const reply = <T extends FrameType>(type: T, body: Bodies[T]): void => {
      this.#router.send(peer, encodeFrame(type, this.#term, body))
    }
    const frame = decodeFrame(bytes)
    this.frames.push(frame.type)
    if (this.refuseAll) {
      return reply('REFUSE', { code: 'COLLISION', message: 'the key is held', remedy: 'sync --key' })
    }
    if (frame.type === 'HELLO') {
      for (const { origin, first } of frame.body.instances) {
        if (this.books.has(origin.instance)) continue
        const book = { origin, first, acked: first - 1, batches: [], skips: [], end: null }
        this.books.set(origin.instance, book)
      }
      const welcome: Bodies['WELCOME'] = {
        run: 'run-1', ledger: this.#ledger, term: this.#term, key: 'k', dir: this.#dir,
        sentAt: frame.body.sentAt, now: Date.now(), credit: 8 << 20,
        startedAt: this.#startedAt,
        instances: frame.body.instances.map(({ origin: { instance } }) => ({
          instance, acked: this.books.get(instance)!.acked, accepted: true,
        })),
      }
      if (this.#ghost !== undefined) reply('WELCOME', { ...welcome, ...this.#ghost })
      reply('WELCOME', welcome)
    } else if (frame.type === 'BATCH') {
      const batch = decodeBatch(Uint8Array.from(frame.body))
      this.#admit(batch.instance, batch.firstSeq, batch.lastSeq, (book) => book.batches.push(batch), reply)
    } else if (frame.type === 'SKIP') {
      const skip = frame.body
      this.#admit(skip.instance, skip.from, skip.to, (book) => book.skips.push(skip), reply)
    } else if (frame.type === 'END') {
      const book = this.books.get(frame.body.instance)!
      if (book.acked >= frame.body.seq) book.end = frame.body
      reply('ACK', { instance: frame.body.instance, seq: book.acked, ended: book.end !== null })
    } else if (frame.type === 'BEAT' && 'instances' in frame.body) {
      reply('BEAT', { sentAt: frame.body.sentAt, now: Date.now(), state: 'live' })
    }
  }

  #admit(
    instance: string, first: number, last: number, keep: (book: Book) => void,
    reply: (type: 'ACK', body: Bodies['ACK']) => void,
  ): void {
    const book = this.books.get(instance)!
    if (first === book.acked + 1) {
      keep(book)
      book.acked = last
    }
    reply('ACK', { instance, seq: book.acked })
  }
}

/** [step, value] of each record in the order of seq; the first name of its layout only. */
export function pointsOf(book: Book): [number, number][] {
  return book.batches.flatMap((batch) =>
    batch.groups
      .flatMap(({ seqs, steps, values }) =>
        [...seqs].map((seq, i) => ({ seq, step: steps[i]!, value: values[i]! })))
      .sort((a, b) => a.seq - b.seq)
      .map(({ step, value }): [number, number] => [step, value]))
}

/** Resolves when `check` holds; looks again often, since what it waits for is another process or timer. */
export async function until(check: () => boolean, what: string, ms = 20_000): Promise<void> {
  const end = performance.now() + ms
  while (!check()) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
