/**
 * The console of a job with `--nproc`: what the workers print, collapsed or with prefixes, and all of it in
 * files.
 *
 * In: the bytes of each worker's stdout and stderr, by pipes. Out: stdout lines on our stdout, stderr lines
 * on our stderr; `<run dir>/console/rank-<n>.log`, byte for byte as it came; `collapsed.jsonl` for
 * `rankzero console`. On a terminal also one line of progress, that of the lowest rank, redrawn in place.
 * Invariants: nothing here stops COMMAND. A terminal, pipe or disk that stands still stops the workers for at
 * most CONSOLE_STALL_MS, then it gets less and is told how much less; a file that cannot be written is told
 * once. The end waits at most CONSOLE_DRAIN_MS for pipes that somebody else keeps open.
 */
import type { ChildProcess, StdioOptions } from 'node:child_process'
import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { TextDecoder } from 'node:util'
import { ask } from '../aside.ts'
import { monotonicMs, sleep, wallMs } from '../clock.ts'
import {
  CONSOLE_DRAIN_MS, CONSOLE_FILE_STALLS, CONSOLE_HELD_CHARS_MAX, CONSOLE_HELD_LINES_MAX, CONSOLE_HOLD_MS,
  CONSOLE_PARTIAL_MS, CONSOLE_QUIET_MS, CONSOLE_REDRAW_MS, CONSOLE_STALL_MS, CONSOLE_TICK_MS,
} from '../limits-console.ts'
import { DISK_ANSWER_MS } from '../limits.ts'
import { Lines, uncoloured } from '../record/lines.ts'
import { blockLine, Collapser, prefixOf, shownBlock, type Block, type Stream } from './core-collapse.ts'
import { fileOutlet, standardOutlet, type Outlet } from './outlet.ts'
import { keepReading, makePipes, type Pipe } from './pipes.ts'
import { beforeWeSay, count, say } from './progress.ts'

export type ConsoleMode = 'collapse' | 'prefix'

const STREAMS = ['stdout', 'stderr'] as const

/** One pipe of one worker. */
interface Source {
  rank: number
  stream: Stream
  pipe: Pipe | null
  socket: Socket | null
  decoder: TextDecoder
  lines: Lines
}

export class Console {
  private readonly mode: ConsoleMode
  private readonly dir: string | null
  private readonly sources: Source[]
  private readonly collapser = new Collapser({
    holdMs: CONSOLE_HOLD_MS, lines: CONSOLE_HELD_LINES_MAX, chars: CONSOLE_HELD_CHARS_MAX,
  })
  private readonly out: Record<Stream, Outlet>
  private readonly logs: (Outlet | null)[]
  private readonly collapsed: Outlet | null
  private readonly all: Outlet[] = []
  private readonly files: ReturnType<typeof fileOutlet>[] = []
  private readonly dismissReader: () => void
  private tick: NodeJS.Timeout | null = null
  private stalled: NodeJS.Timeout | null = null
  private heardAt = 0
  private drawnAt = 0
  private drawn: { stream: Stream; text: string } | null = null

  /** `dir`: where the files go, which is there (consoleDir); null: there is no place for them. */
  constructor(mode: ConsoleMode, nproc: number, dir: string | null) {
    this.mode = mode
    this.dir = dir
    const { stdout, stderr } = process
    this.out = { stdout: this.standard(stdout), stderr: this.standard(stderr) }
    const ranks = Array.from({ length: nproc }, (_, rank) => rank)
    this.logs = ranks.map((rank) => this.file(`rank-${rank}.log`))
    // The end of its last line may be missing, when a run goes on whose supervisor was killed.
    this.collapsed = this.file('collapsed.jsonl', { newLine: true })
    const pipes = makePipes(2 * nproc)
    this.sources = ranks.flatMap((rank) => STREAMS.map((stream, i): Source => ({
      rank, stream, pipe: pipes?.[2 * rank + i] ?? null, socket: null,
      decoder: new TextDecoder('utf-8', { ignoreBOM: true }), lines: new Lines(),
    })))
    for (const rank of ranks) this.collapser.open(rank)
    beforeWeSay(() => this.undraw())
    const paths = this.sources.map(({ rank }) => this.dir === null ? '/dev/null' : logPath(this.dir, rank))
    this.dismissReader = pipes === null ? () => {} : keepReading(pipes, paths)
  }

  /** What a worker's environment has besides: Python keeps lines back when it does not see a terminal. */
  env(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
    return { ...env, PYTHONUNBUFFERED: env['PYTHONUNBUFFERED'] ?? '1' }
  }

  stdio(rank: number): StdioOptions {
    return ['inherit', ...this.of(rank).map(({ pipe }) => pipe?.write ?? 'pipe' as const)]
  }

  /** Reads what the worker prints. Null: it never started. */
  started(rank: number, child: ChildProcess | null): void {
    for (const source of this.of(rank)) {
      const { pipe, stream } = source
      if (pipe !== null) closeSync(pipe.write)
      const socket = pipe === null ? child?.[stream] as Socket | null | undefined
        : new Socket({ fd: pipe.read, readable: true, writable: false })
      if (!socket) continue
      source.socket = socket
      socket.on('data', (bytes: Buffer) => this.take(source, bytes))
      socket.on('error', () => {})
      socket.on('close', () => this.closed(source))
    }
  }

  /** The last worker has gone: shows what it left, waits for the readers, all within bounds. */
  async finish(): Promise<void> {
    const begun = this.heardAt = monotonicMs()
    while (this.sources.some(({ socket }) => socket !== null)) {
      const now = monotonicMs()
      if (this.stalled !== null) this.heardAt = now
      else if (now - this.heardAt > CONSOLE_QUIET_MS || now - begun > CONSOLE_DRAIN_MS) break
      await sleep(CONSOLE_TICK_MS / 5)
    }
    for (const { socket } of this.sources) socket?.removeAllListeners('data').destroy()
    for (const source of this.sources) this.lastLines(source)
    this.show(this.collapser.flush())
    this.undraw()
    if (this.tick !== null) clearTimeout(this.tick)
    this.dismissReader()
    const flushed = monotonicMs()
    while (this.all.some((outlet) => !outlet.isDone(flushed))) await sleep(CONSOLE_TICK_MS / 5)
    for (const file of this.files) file.end()
    const closed = monotonicMs()
    while (this.files.some((file) => !file.ended()) && monotonicMs() - closed < CONSOLE_STALL_MS) {
      await sleep(CONSOLE_TICK_MS / 5)
    }
    if (this.stalled !== null) clearTimeout(this.stalled)
  }

  private of(rank: number): Source[] {
    return this.sources.slice(2 * rank, 2 * rank + 2)
  }

  private take(source: Source, bytes: Buffer): void {
    this.heardAt = monotonicMs()
    this.logs[source.rank]?.write(bytes)
    this.said(source, source.lines.push(source.decoder.decode(bytes, { stream: true }), this.heardAt))
    this.show(this.collapser.due(this.heardAt))
    this.heed()
    this.wind()
  }

  private closed(source: Source): void {
    source.socket = null
    this.lastLines(source)
    if (this.of(source.rank).every(({ socket }) => socket === null)) this.collapser.close(source.rank)
    this.show(this.collapser.due(monotonicMs()))
    this.wind()
  }

  private lastLines(source: Source): void {
    const now = monotonicMs()
    this.said(source, [...source.lines.push(source.decoder.decode(), now), ...source.lines.flush()])
  }

  private said({ rank, stream }: Source, lines: readonly string[]): void {
    const now = monotonicMs()
    const time = wallMs()
    for (const line of lines) {
      if (this.mode === 'prefix') this.print(stream, shownBlock({ ranks: [rank], line }))
      this.collapser.add({ rank, stream, line, time }, now)
    }
  }

  private show(blocks: readonly Block[]): void {
    for (const block of blocks) {
      if (this.mode === 'collapse') this.print(block.stream ?? 'stdout', shownBlock(block))
      this.collapsed?.write(blockLine(block))
    }
  }

  private print(stream: Stream, text: string): void {
    this.undraw()
    this.out[stream].write(text)
  }

  /** A clock only while something waits for it. */
  private wind(): void {
    if (this.tick !== null) return
    const waits = this.collapser.waiting > 0 || this.sources.some(({ lines }) => lines.unsettled)
    if (!waits && !this.mayDraw()) return
    this.tick = setTimeout(() => {
      this.tick = null
      const now = monotonicMs()
      for (const source of this.sources) this.said(source, source.lines.settle(now))
      this.show(this.collapser.due(now))
      this.draw(now)
      this.wind()
    }, CONSOLE_TICK_MS)
  }

  private mayDraw(): boolean {
    if (this.drawn !== null) return true
    if (!STREAMS.some((stream) => process[stream].isTTY)) return false
    return this.sources.some(({ socket, lines }) => socket !== null && lines.open() !== null)
  }

  /** One rank's line that is not done, on a terminal, at a calm rate. */
  private draw(now: number): void {
    if (now - this.drawnAt < CONSOLE_REDRAW_MS) return
    for (const { rank, stream, lines, socket } of this.sources) {
      const open = socket === null || !process[stream].isTTY ? null : lines.open()
      if (open === null || (!open.rewritten && now - open.touchedAt < CONSOLE_PARTIAL_MS)) continue
      const shown = fit(`${prefixOf([rank])}${uncoloured(open.text)}`, (process[stream].columns || 80) - 1)
      if (this.drawn?.text === shown) return
      this.undraw()
      this.drawn = { stream, text: shown }
      this.drawnAt = now
      this.out[stream].write(shown)
      return
    }
    this.undraw()
  }

  private undraw(): void {
    if (this.drawn === null) return
    this.out[this.drawn.stream].write('\r\x1b[2K')
    this.drawn = null
  }

  /** Stops reading while somebody is full, for as long as he is worth it. */
  private heed(): void {
    if (this.stalled !== null || !this.all.some((outlet) => outlet.isFull)) return
    for (const { socket } of this.sources) socket?.pause()
    this.wait(CONSOLE_FILE_STALLS)
  }

  /** `times` more for a file that moves. */
  private wait(times: number): void {
    const begun = monotonicMs()
    // What was taken meanwhile is heard first, on a busy machine too: timers come before it.
    const stalled = this.stalled = setTimeout(() => setImmediate(() => {
      if (this.stalled !== stalled) return
      for (const outlet of Object.values(this.out)) outlet.giveUp()
      for (const { outlet } of this.files) outlet.giveUp(times > 1 ? begun : Infinity)
      if (this.all.some((outlet) => outlet.isFull)) this.wait(times - 1)
      else this.goOn()
    }), CONSOLE_STALL_MS)
  }

  private goOn(): void {
    if (this.stalled === null || this.all.some((outlet) => outlet.isFull)) return
    clearTimeout(this.stalled)
    this.stalled = null
    for (const { socket } of this.sources) socket?.resume()
  }

  private standard(stream: NodeJS.WriteStream & { fd: number }): Outlet {
    const where = this.dir === null ? '' : `; all of it is in ${this.dir}`
    const gap = (bytes: number): string =>
      `\nrankzero: ${count(bytes)} bytes are left out here, as they were not taken in time${where}\n`
    return this.outlet(standardOutlet(stream, { onRoom: () => this.goOn(), gap }))
  }

  private file(name: string, options: { newLine?: boolean } = {}): Outlet | null {
    if (this.dir === null) return null
    const path = join(this.dir, name)
    const file = fileOutlet(path, {
      onRoom: () => this.goOn(),
      onFailure: (error) => say(`${path} is not complete: ${error.message}`),
      gap: (bytes) => `\n[rankzero: ${count(bytes)} bytes are left out here: the disk was too slow]\n`,
    }, options)
    this.files.push(file)
    return this.outlet(file.outlet)
  }

  private outlet(outlet: Outlet): Outlet {
    this.all.push(outlet)
    return outlet
  }
}

/** Letters that a terminal draws in two cells. */
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60\u{1f300}-\u{1faff}]/u

/** As much of a line as `room` cells hold: one that wraps could not be redrawn in place. */
function fit(line: string, room: number): string {
  let shown = ''
  let cells = 0
  for (const letter of line.replaceAll('\t', ' ')) {
    cells += WIDE.test(letter) ? 2 : 1
    if (cells >= room) return `${shown}…`
    shown += letter
  }
  return shown
}

/** Where the output of one worker is, whole. */
export const logPath = (consoleDir: string, rank: number): string => join(consoleDir, `rank-${rank}.log`)

/** Makes the directory of the files, below a run directory that is there: only its head makes one. */
export async function consoleDir(runDir: string | null): Promise<string | null> {
  if (runDir === null) return null
  const path = join(runDir, 'console')
  const made = await ask(['sh', '-c', '[ -d "$1" ] || mkdir -- "$1"', 'rankzero', path], DISK_ANSWER_MS)
  if (made?.status === 0) return path
  const why = made === null ? 'the disk does not answer' : made.stderr.trim()
  say(`the output of the ranks is only shown, not kept in ${path}: ${why}`)
  return null
}
