/** init({ capture: true }): what this process prints goes into text records as well, line by line. */
import { TextDecoder } from 'node:util'
import { wallMs } from '../clock.ts'
import { Lines } from '../record/lines.ts'

const STREAMS = ['stdout', 'stderr'] as const
type Stream = typeof STREAMS[number]
type Write = NodeJS.WriteStream['write']

/**
 * Wraps `write` of both streams. What is printed goes its way first and whatever happens here; progress bars
 * are recorded by their last state; `\n` ends a line. What native code or child processes print to the same
 * descriptors is not seen.
 */
export class Capture {
  private readonly taps: Tap[]

  /** `text` must not throw. */
  constructor(text: (line: string, stream: Stream) => void) {
    this.taps = STREAMS.map((stream) => new Tap(process[stream], (line) => text(line, stream)))
  }

  /** Now and then: records rows that progress bars might still have come back to. */
  settle(): void {
    for (const tap of this.taps) tap.settle()
  }

  /** Records what has no end yet, and takes no more. */
  stop(): void {
    for (const tap of this.taps) tap.stop()
  }
}

class Tap {
  private readonly stream: NodeJS.WriteStream
  private readonly text: (line: string) => void
  private readonly lines = new Lines()
  private readonly decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  private readonly before: Write
  private readonly wrapped: Write
  /** Recording a line must not record what that prints. */
  private busy = false
  private stopped = false

  constructor(stream: NodeJS.WriteStream, text: (line: string) => void) {
    this.stream = stream
    this.text = text
    const before = this.before = stream.write
    const tee = (args: unknown[]): void => this.tee(args[0], args[1])
    this.wrapped = function (this: unknown, ...args: unknown[]) {
      const taken = Reflect.apply(before, this, args) as boolean
      tee(args)
      return taken
    } as Write
    stream.write = this.wrapped
  }

  settle(): void {
    this.guarded(() => this.lines.settle(wallMs()))
  }

  stop(): void {
    if (this.stopped) return
    this.guarded(() => [...this.lines.push(this.decoder.decode(), wallMs()), ...this.lines.flush()])
    this.stopped = true
    // Who has wrapped it since keeps his wrapping; ours then only passes on.
    if (this.stream.write === this.wrapped) this.stream.write = this.before
  }

  private tee(chunk: unknown, encoding: unknown): void {
    this.guarded(() => {
      const isText = typeof chunk === 'string' && (typeof encoding !== 'string' || /^utf-?8$/i.test(encoding))
      if (isText) return this.lines.push(chunk, wallMs())
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding as BufferEncoding)
        : chunk as Uint8Array
      return this.lines.push(this.decoder.decode(bytes, { stream: true }), wallMs())
    })
  }

  private guarded(read: () => string[]): void {
    if (this.busy || this.stopped) return
    this.busy = true
    try {
      for (const line of read()) this.text(line)
    } catch {
      // A chunk that is none: write() has said so already.
    }
    this.busy = false
  }
}
