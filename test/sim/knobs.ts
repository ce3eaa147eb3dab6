/** What a simulation may be troubled with. Everything is off in calm; a scenario turns some of it on. */

/** Chances per frame, until the faults cease. */
export interface NetKnobs {
  loss: number
  duplicate: number
  reorder: number
  delay: number
  delayMs: number
}

export const forgetful = (): NetKnobs => ({ loss: 0, duplicate: 0, reorder: 0, delay: 0, delayMs: 0 })

/** Names for `--knobs`; a scenario draws its faults from those that it was given. */
export const KNOBS = [
  'loss', 'duplicate', 'reorder', 'delay', 'cut', 'oneway', 'reset', 'ghost',
  'kill-trainer', 'kill-agent', 'kill-aggregator', 'kill-supervisor', 'term', 'stop', 'power',
  'lost-node', 'lease',
  'disk-full', 'disk-slow', 'disk-fails', 'clock-jump', 'clock-rate',
  'elastic', 'replay', 'rival', 'second-run', 'small-journal', 'small-spool', 'short-reads', 'damage',
  'backend', 'backend-busy', 'backend-fails', 'backend-hangs', 'backend-stores',
] as const
export type Knob = (typeof KNOBS)[number]

/** One event of trouble, at a true time. */
export interface Fault {
  at: number
  knob: Knob
  /** Place in the list of those it may concern: nodes, ranks. */
  node: number
  other: number
  ms: number
  /** Steps that the victim makes before it dies. */
  steps: number
  amount: number
}
