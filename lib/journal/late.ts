/**
 * A journal that has no place yet: no directory takes one, as all of them are full, say. It looks again at
 * its ticks, and once more before the end.
 *
 * In: what any writer gets. Out: nothing, until a directory takes it; from then on it is like any other.
 * Invariants: values logged before are counted as lost, per metric, and reported in-band later; other records
 * wait, within LATE_BYTES_MAX, and come first; no look waits for a disk, and none happens within log().
 */
import { answered } from '../aside.ts'
import { monotonicMs } from '../clock.ts'
import { messageOf, RankzeroError } from '../errors.ts'
import { LATE_BYTES_MAX, LATE_RETRY_MS } from '../limits.ts'
import { Kind } from '../record/index.ts'
import { disksOf, findPlace, nowhere } from './place.ts'
import type { JournalOptions } from './types.ts'
import { Writer } from './writer.ts'

interface Waiting { kind: Kind; body: object; time: number }

export class LateWriter extends Writer {
  readonly #options: JournalOptions
  readonly #say: (line: string) => void
  /** Disks that answered when they were last asked. */
  readonly #answered: Set<string>
  #waiting: Waiting[] = []
  #bytes = 0
  #lookAt = monotonicMs() + LATE_RETRY_MS

  /** `error`: why there is no place now. */
  constructor(o: JournalOptions, answered: Set<string>, error: unknown) {
    super(nowhere(o))
    const { say = () => {}, ...quiet } = o
    this.#options = quiet
    this.#say = say
    this.#answered = answered
    const remedy = error instanceof RankzeroError ? ` ${error.remedy}` : ''
    say('no journal could be opened, so what this rank logs is lost, and counted, until one can (tried every '
      + `${LATE_RETRY_MS / 1000} s): ${messageOf(error)}.${remedy}`)
  }

  override payload(kind: Kind, body: object, time: number): boolean {
    const isLast = kind === Kind.end
    if (this.path !== '' && (isLast || this.#waiting.length === 0)) return super.payload(kind, body, time)
    const bytes = Buffer.byteLength(JSON.stringify(body))
    // What is printed must not take the room of parameters.
    const max = kind === Kind.text ? LATE_BYTES_MAX / 2 : LATE_BYTES_MAX
    if (!isLast && this.#bytes + bytes > max) return false
    this.#waiting.push({ kind, body, time })
    this.#bytes += bytes
    return true
  }

  override tick(now: number, last = false): void {
    if (this.path === '') this.#look(last)
    if (this.path !== '') this.#writeWaiting()
    super.tick(now)
  }

  override close(): void {
    if (this.path === '') {
      this.#say(`no journal could be opened: ${this.lost} values were not recorded, and nothing else.`)
    } else if (this.#waiting.length > 0) {
      this.#say(`the journal is full: ${this.#waiting.length} parameters or texts were not recorded.`)
    }
    super.close()
  }

  #look(last: boolean): void {
    if (!last && monotonicMs() < this.#lookAt) return
    this.#lookAt = monotonicMs() + LATE_RETRY_MS
    try {
      this.move(findPlace(this.#options, (disk) => this.#answered.has(disk)))
      this.#say(`a journal could be opened: this rank is recorded from now on; ${this.lost} values before `
        + 'are lost, and counted.')
    } catch {
      // The next look goes by the answers to this question.
      this.#answered.clear()
      for (const disk of disksOf(this.#options)) {
        void answered(disk).then(() => this.#answered.add(disk), () => {})
      }
    }
  }

  #writeWaiting(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (!super.payload(first.kind, first.body, first.time)) return
      this.#waiting.shift()
    }
  }
}
