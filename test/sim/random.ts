/** sfc32: small, seeded, good enough to choose; the whole of a simulation follows from one seed. */
export class Random {
  #a: number
  #b: number
  #c: number
  #d = 1

  /** `stream` gives one seed several independent rows: a dropped fault must not move all the others. */
  constructor(seed: number, stream: number) {
    this.#a = seed | 0
    this.#b = Math.floor(seed / 2 ** 32) | 0
    this.#c = stream | 0
    for (let i = 0; i < 12; i++) this.next()
  }

  /** In [0, 1). */
  next(): number {
    const t = (this.#a + this.#b + this.#d) | 0
    this.#d = (this.#d + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (this.#c << 21) | (this.#c >>> 11)
    this.#c = (this.#c + t) | 0
    return (t >>> 0) / 2 ** 32
  }

  /** A whole number in [0, n). */
  below(n: number): number {
    return Math.floor(this.next() * n)
  }

  /** A whole number, both ends included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1)
  }

  chance(p: number): boolean {
    return p > 0 && this.next() < p
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }

  hex(bytes: number): string {
    let text = ''
    while (text.length < 2 * bytes) text += this.below(65_536).toString(16).padStart(4, '0')
    return text.slice(0, 2 * bytes)
  }
}
