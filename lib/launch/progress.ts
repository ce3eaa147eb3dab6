import { monotonicMs } from '../clock.ts'
import { PROGRESS_AFTER_MS } from '../limits.ts'
import { printable } from '../record/printable.ts'

/** One line that is redrawn in place on a terminal; nothing in a pipe. */
export interface Progress {
  show(text: string): void
  clear(): void
}

const REDRAW_MS = 100

/** The line appears only when the wait has lasted PROGRESS_AFTER_MS. */
export function progress(stream: NodeJS.WriteStream = process.stderr, afterMs = PROGRESS_AFTER_MS): Progress {
  if (!stream.isTTY) return { show: () => {}, clear: () => {} }
  const begun = monotonicMs()
  let drawnAt = 0
  return {
    show(text) {
      const now = monotonicMs()
      if (now - begun < afterMs || now - drawnAt < REDRAW_MS) return
      drawnAt = now
      const room = (stream.columns || 80) - 1
      const shown = printable(text)
      stream.write(`\r\u001b[2K${shown.length > room ? `${shown.slice(0, room - 1)}…` : shown}`)
    },
    clear() {
      if (drawnAt > 0) stream.write('\r\u001b[2K')
      drawnAt = 0
    },
  }
}

let clearLine = (): void => {}

/** Whoever keeps a line on the terminal clears it before we say something. */
export function beforeWeSay(clear: () => void): void {
  clearLine = clear
}

/** Our own voice: always stderr, always with our name. */
export function say(text: string): void {
  clearLine()
  process.stderr.write(`rankzero: ${text.split('\n').map(printable).join('\n')}\n`)
}

/** `n` ≥ 0, whole. By Intl the first number of a process costs 20 ms. */
export const count = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, ',')
export const plural = (n: number, noun: string): string => `${count(n)} ${noun}${n === 1 ? '' : 's'}`
