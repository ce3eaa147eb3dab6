/**
 * The lines of a console, from the text that was written to it. Pure.
 *
 * In: text in pieces of any size, control characters and all. Out: lines as a terminal would show them when
 * they were done: after `\r`, what is written next replaces the line; cursor movements choose the row;
 * colours stay, everything else that a terminal would obey is left out.
 * Invariants: a piece's size never matters, except for rows that the cursor comes back to: those are given
 * out once they were left alone for CONSOLE_SETTLE_MS, since multi-line progress bars move down and up again.
 * No row is longer than CONSOLE_LINE_CHARS_MAX: what is beyond is counted.
 * It knows no columns: a text after `\r` replaces the whole row, as progress bars mean it.
 */
import { CONSOLE_LINE_CHARS_MAX, CONSOLE_ROWS_MAX, CONSOLE_SETTLE_MS } from '../limits-console.ts'

interface Row {
  text: string
  /** Characters that were left out. */
  over: number
  /** The cursor is at its beginning: the next text replaces what is there. */
  home: boolean
  rewritten: boolean
  /** Given out already, before the cursor came back: if nothing is written, there is nothing to give. */
  given: boolean
  touchedAt: number
}

export interface OpenRow {
  text: string
  /** By `\r`: a progress bar. */
  rewritten: boolean
  touchedAt: number
}

const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/
/** One step: a text without controls, an escape sequence (CSI, OSC and its like, others), or one control. */
const STEP = new RegExp([
  '[^\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f]+',
  '\\x1b\\[[0-?]*[ -/]*[@-~]',
  '\\x1b[\\]PX^_][^\\x07\\x1b]*(?:\\x07|\\x1b\\\\)',
  '\\x1b[ -/]*[0-Z\\\\-~]',
  '[\\x00-\\x1f\\x7f-\\x9f]',
].join('|'), 'g')
/** The beginning of an escape sequence whose rest has not come yet. */
const CUT_SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)$/
const SEQUENCE_CHARS_MAX = 4096
const COLOUR = /^\x1b\[[0-9;:]*m$/

const newRow = (now: number): Row =>
  ({ text: '', over: 0, home: false, rewritten: false, given: false, touchedAt: now })

export class Lines {
  private rows: Row[] = [newRow(0)]
  /** The cursor's row. */
  private at = 0
  /** The cursor has gone up before, so it may come back to a row that has ended. */
  private returns = false
  private carry = ''

  /** Lines that are done. `now` in ms, any clock. */
  push(piece: string, now: number): string[] {
    const text = this.carry + piece
    this.carry = ''
    if (this.returns || CONTROL.test(text)) this.steps(text, now)
    else this.plain(text, now)
    return this.release(now)
  }

  /** Lines that have been left alone long enough. */
  settle(now: number): string[] {
    return this.rows.length > 1 ? this.release(now) : []
  }

  /** Everything that is left: no more text comes. */
  flush(): string[] {
    this.carry = ''
    const left = this.rows.filter((row, at) => at < this.at || row.text.trim() !== '' || row.over > 0)
    this.rows = [newRow(0)]
    this.at = 0
    return linesOf(left)
  }

  /** Whether rows wait for settle(). */
  get unsettled(): boolean {
    return this.at > 0
  }

  /** The row that is being written, if there is anything in it. */
  open(): OpenRow | null {
    const rows = this.rows.slice(this.at).filter((row) => row.text.trim() !== '')
    const row = rows.reduce<Row | undefined>(
      (last, one) => last === undefined || one.touchedAt > last.touchedAt ? one : last, undefined)
    if (row === undefined) return null
    return { text: textOf(row), rewritten: row.rewritten, touchedAt: row.touchedAt }
  }

  /** No control but `\n`: the usual case, at full speed. */
  private plain(text: string, now: number): void {
    let from = 0
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
      this.write(text.slice(from, end), now)
      this.down(now)
      from = end + 1
    }
    this.write(text.slice(from), now)
  }

  private steps(text: string, now: number): void {
    const cut = CUT_SEQUENCE.exec(text)
    const whole = cut === null ? text : text.slice(0, cut.index)
    if (cut !== null && cut[0].length <= SEQUENCE_CHARS_MAX) this.carry = cut[0]
    for (const [step] of whole.matchAll(STEP)) {
      const row = this.rows[this.at]!
      if (step === '\n') this.down(now)
      else if (step === '\r') row.home = true
      else if (step === '\b') row.text = row.text.slice(0, -1)
      else if (step[0] === '\x1b') this.sequence(step, now)
      else if (!CONTROL.test(step)) this.write(step, now)
    }
  }

  private sequence(step: string, now: number): void {
    if (COLOUR.test(step)) return this.colour(step)
    if (step[1] !== '[') return
    const row = this.rows[this.at]!
    const count = Number.parseInt(step.slice(2), 10) || 0
    switch (step.at(-1)) {
      case 'K':
        if (count > 0 || row.home) erase(row)
        return
      case 'J':
        if (count === 0) this.rows.length = this.at + 1
        if (row.home) erase(row)
        return
      case 'A':
      case 'F':
        return this.up(Math.max(1, count), now)
      case 'B':
      case 'E':
        for (let i = Math.min(Math.max(1, count), CONSOLE_ROWS_MAX); i > 0; i--) this.down(now)
        return
      case 'G':
        if (count <= 1) row.home = true
    }
  }

  /** A colour by itself shows nothing, so it replaces nothing. */
  private colour(step: string): void {
    const row = this.rows[this.at]!
    if (row.home) {
      erase(row)
      row.rewritten = true
    }
    if (row.text.length + step.length <= CONSOLE_LINE_CHARS_MAX) row.text += step
  }

  private write(text: string, now: number): void {
    if (text === '') return
    const row = this.rows[this.at]!
    if (row.home) {
      row.rewritten ||= row.text !== ''
      erase(row)
    }
    row.given = false
    row.touchedAt = now
    const room = CONSOLE_LINE_CHARS_MAX - row.text.length
    row.text += text.length <= room ? text : text.slice(0, Math.max(0, room))
    row.over += Math.max(0, text.length - room)
  }

  private down(now: number): void {
    this.rows[this.at]!.touchedAt = now
    this.at++
    const row = this.rows[this.at]
    if (row === undefined) this.rows.push(newRow(now))
    else row.home = true
  }

  private up(count: number, now: number): void {
    this.returns = true
    for (let i = Math.min(count, CONSOLE_ROWS_MAX); i > 0; i--) {
      if (this.at > 0) this.at--
      else this.rows.unshift({ ...newRow(now), given: true })
    }
    while (this.rows.length > CONSOLE_ROWS_MAX) this.rows.pop()
    this.rows[this.at]!.touchedAt = now
  }

  /** Rows above the cursor; after a cursor that goes up, only those that it left some time ago. */
  private release(now: number): string[] {
    if (this.at === 0) return []
    let done = this.returns ? Math.max(0, this.at - CONSOLE_ROWS_MAX) : this.at
    while (done < this.at && now - this.rows[done]!.touchedAt >= CONSOLE_SETTLE_MS) done++
    this.at -= done
    return linesOf(this.rows.splice(0, done))
  }
}

function erase(row: Row): void {
  row.text = ''
  row.over = 0
  row.home = false
}

function textOf({ text, over }: Row): string {
  return over === 0 ? text : `${text}… [${over} more characters]`
}

const linesOf = (rows: readonly Row[]): string[] => rows.filter((row) => !row.given).map(textOf)

/** Without colours. */
export const uncoloured = (line: string): string => line.replace(/\x1b\[[0-9;:]*m/g, '')
