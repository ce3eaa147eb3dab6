/** The oracle's value of a point: any double from (rank, step, metric), half of them exact in float32. */
export function valueOf(rank, step, metric) {
  let h =
    (Math.imul(rank + 1, 0x9e3779b1) ^
      Math.imul(step + 1, 0x85ebca6b) ^
      Math.imul(metric + 1, 0xc2b2ae35)) >>>
    0
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d) >>> 0
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39) >>> 0
  h = (h ^ (h >>> 15)) >>> 0
  const unit = h / 4294967296
  return metric % 2 === 0 ? Math.fround(unit * 10 - 5) : unit * 10 - 5
}

export const weightOf = (rank) => rank + 1
export const nameOf = (metric) => `m${String(metric).padStart(2, '0')}`
