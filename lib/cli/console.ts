import type { Command } from 'commander'
import { closeSync, existsSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import type { TextRecord, Texts } from '../aggregator/texts.ts'
import { ledgerPath } from '../backend/local.ts'
import { sleep, wallMs } from '../clock.ts'
import { RankzeroError } from '../errors.ts'
import {
  blockLine, Collapser, parseBlock, shownBlock, type Block,
} from '../launch/core-collapse.ts'
import {
  CONSOLE_FOLLOW_HOLD_MS, CONSOLE_FOLLOW_LAG_MS, CONSOLE_HELD_LINES_MAX, CONSOLE_POLL_MS,
  CONSOLE_SORT_CHARS_MAX, CONSOLE_TEXT_WINDOW_MS,
} from '../limits-console.ts'
import { Lines, uncoloured } from '../record/lines.ts'
import { command, dirOf, type Shared } from './define.ts'
import { lookAt } from './look.ts'
import { findRun, type FoundRun } from './runs.ts'
import { streamSink } from './sink.ts'

interface Flags extends Shared {
  follow?: true
  json?: true
  rank?: string
}

export const consoleCommand = (): Command => command('console')
  .summary('what the ranks said, equal lines as one')
  .description('Shows what the ranks of a run said, in order of time; equal lines of several ranks are one.')
  .argument('[RUN]', 'run id, run directory, or latest', 'latest')
  .option('--follow', 'go on until the run has ended')
  .option('--rank <N>', 'only lines that rank N said')
  .option('--json', 'one JSON object per line: time, ranks, stream (not for texts of the logger), line')
  .addHelpText('after', `
It shows lines of run.text; lines that init(capture=True), in Node init({ capture: true }), took from a rank's
stdout and stderr; and with --nproc what the ranks printed, as far as it was a line: the whole, with progress
bars, is in console/rank-<n>.log of the run directory.
Lines are equal when their text and stream are; the k-th occurrence in one rank meets the k-th in another, if
they are at most ${CONSOLE_TEXT_WINDOW_MS / 1000} s apart (${CONSOLE_FOLLOW_HOLD_MS / 1000} s with --follow).

Example:
  rankzero console latest --follow`)
  .action(async (run: string, flags: Flags) => {
    const rank = flags.rank === undefined ? null : rankOf(flags.rank)
    await show(findRun(dirOf(flags), run), { follow: flags.follow === true, json: flags.json === true, rank })
  })

function rankOf(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text)
  throw new RankzeroError('USAGE', `--rank is '${text}'`, 'give the number of one rank, for example --rank 3')
}

interface Wanted {
  follow: boolean
  json: boolean
  /** Null: all. */
  rank: number | null
}

async function show(found: FoundRun, { follow, json, rank }: Wanted): Promise<void> {
  const { Texts: Reader } = await import('../aggregator/texts.ts')
  const { openLedger } = await import('../ledger/index.ts')
  const sink = streamSink(process.stdout)
  const feed = new Feed(found.dir, new Reader(), openLedger)
  const collapser = new Collapser({
    holdMs: follow ? CONSOLE_FOLLOW_HOLD_MS : CONSOLE_TEXT_WINDOW_MS,
    lines: 10 * CONSOLE_HELD_LINES_MAX, chars: CONSOLE_SORT_CHARS_MAX,
  })
  const order = new InOrder()
  let now = 0
  const pass = async (items: readonly Item[], flush = false): Promise<void> => {
    for (const item of items) {
      now = Math.max(now, follow ? wallMs() : item.time)
      const { stream, line, time, source } = item
      for (const each of item.ranks) collapser.add({ rank: voiceOf(each, source), stream, line, time }, now)
    }
    for (const heard of flush ? collapser.flush() : collapser.due(now)) {
      const block = { ...heard, ranks: heard.ranks.map((voice) => voice >> 1) }
      if (rank !== null && !block.ranks.includes(rank)) continue
      const full = sink.write(json ? blockLine(block) : forPeople(block))
      if (full !== null) await full
    }
  }
  for (;;) {
    const { state, ranks } = lookAt(found)
    const isOver = !follow || state === 'ended' || state === 'interrupted'
    // All ranks are waited for, also those that have said nothing yet.
    for (let voice = voiceOf(ranks, 'texts') - 1; voice >= 0; voice--) collapser.open(voice)
    for (const item of feed.read()) {
      const early = order.add(item)
      if (early !== null) await pass(early)
    }
    now = Math.max(now, follow ? wallMs() : 0)
    await pass(order.take(isOver ? Infinity : wallMs() - CONSOLE_FOLLOW_LAG_MS), isOver)
    await sink.end()
    if (isOver) return
    await sleep(CONSOLE_POLL_MS)
  }
}

/** A text is whatever somebody logged: only its letters and colours reach a terminal. */
function forPeople(block: Block): string {
  const lines = new Lines()
  const line = [...lines.push(block.line, 0), ...lines.flush()].join('\n')
  return shownBlock({ ranks: block.ranks, line: process.stdout.isTTY ? line : uncoloured(line) })
}

interface Item extends Block {
  source: 'texts' | 'console'
}

/**
 * What a rank logs and what it prints are two voices. Between them only time tells the order, and a block of
 * the console has the time of one rank: as one voice, the ranks would seem to say things in different orders.
 */
const voiceOf = (rank: number, source: Item['source']): number => 2 * rank + (source === 'texts' ? 0 : 1)

/** What was said, from the ledger and from the console of `--nproc`: each time what is new. */
class Feed {
  private readonly ledger: string
  private readonly collapsed: string
  private readonly texts: Texts
  private readonly open: typeof import('../ledger/index.ts').openLedger
  /** Ranks whose output is in `collapsed` already, so that what they captured of it is not said twice. */
  private readonly heard: ReadonlySet<number>
  private at = 0
  private time = 0
  private readonly decoder = new StringDecoder()
  private rest = ''

  constructor(dir: string, texts: Texts, open: Feed['open']) {
    this.ledger = ledgerPath(dir)
    this.collapsed = join(dir, 'console', 'collapsed.jsonl')
    this.texts = texts
    this.open = open
    const logs = existsSync(this.collapsed) ? readdirSync(join(dir, 'console')) : []
    this.heard = new Set(logs.map((name) => Number(/^rank-(\d+)\.log$/.exec(name)?.[1] ?? NaN)))
  }

  * read(): Generator<Item> {
    if (existsSync(this.ledger) || !existsSync(this.collapsed)) yield* this.ofLedger()
    if (existsSync(this.collapsed)) yield* this.ofConsole()
  }

  /** Opened anew each time: an aggregator that closes the ledger wants to be alone with it. */
  private* ofLedger(): Generator<Item> {
    const ledger = this.open(this.ledger, { readonly: true })
    try {
      for (const text of this.texts.read(ledger)) {
        if (text.stream === null || !this.heard.has(text.rank)) yield asItem(text)
      }
    } finally {
      ledger.close()
    }
  }

  private* ofConsole(): Generator<Item> {
    const fd = openSync(this.collapsed, 'r')
    try {
      const chunk = Buffer.allocUnsafe(64 * 1024)
      for (let n = readSync(fd, chunk, 0, chunk.length, this.at); n > 0;
        n = readSync(fd, chunk, 0, chunk.length, this.at)) {
        this.at += n
        const lines = (this.rest + this.decoder.write(chunk.subarray(0, n))).split('\n')
        this.rest = lines.pop()!
        for (const line of lines) {
          const block = parseBlock(line)
          if (block === null) continue
          // The file is in order, and its times nearly so: a block has the time of the rank that spoke first.
          this.time = Math.max(this.time, block.time)
          yield { ...block, time: this.time, source: 'console' }
        }
      }
    } finally {
      closeSync(fd)
    }
  }
}

const asItem = ({ time, rank, stream, line }: TextRecord): Item =>
  ({ time, ranks: [rank], stream, line, source: 'texts' })

/** Sorts by time what comes in order of arrival, in bounded memory. */
class InOrder {
  private items: Item[] = []
  private chars = 0

  /** Null, or the older half, when there is no room for more. */
  add(item: Item): Item[] | null {
    this.items.push(item)
    this.chars += item.line.length
    if (this.chars <= CONSOLE_SORT_CHARS_MAX) return null
    this.sort()
    return this.cut(this.items.length >> 1 || 1)
  }

  /** Everything up to this time. */
  take(until: number): Item[] {
    this.sort()
    const end = this.items.findIndex((item) => item.time > until)
    return this.cut(end < 0 ? this.items.length : end)
  }

  /** Stable, so what one rank said stays in order. */
  private sort(): void {
    this.items.sort((a, b) => a.time - b.time)
  }

  private cut(count: number): Item[] {
    const out = this.items.splice(0, count)
    for (const { line } of out) this.chars -= line.length
    return out
  }
}
