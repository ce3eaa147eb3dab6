import { KNOBS, type Knob } from './knobs.ts'

/** Seeds that break a law with the mend taken out (mutations.ts does so), and what it was. They run first. */
interface Regression {
  seed: number
  knobs: readonly Knob[]
  was: string
}

export const REGRESSIONS: readonly Regression[] = [
  {
    seed: 19, knobs: ['delay', 'loss', 'stop', 'reset'],
    was: 'an ack that came after the run had ended: the agent gave all of it to a second run',
  },
  {
    seed: 13, knobs: ['clock-jump'],
    was: 'a clock set back kept a run open for as long as it was set back',
  },
  {
    seed: 116, knobs: ['clock-jump', 'elastic'],
    was: 'a clock set back: each new head believed that the run had ended after its own start',
  },
  {
    seed: 4, knobs: ['term', 'kill-aggregator', 'short-reads'],
    was: "sync on one node gave an END to what another node's journal still went on with",
  },
  {
    seed: 7, knobs: ['clock-jump', 'kill-aggregator', 'second-run'],
    was: 'a clock set back by half an hour: the key of a killed run rested for as long',
  },
  {
    seed: 5_000_973, knobs: KNOBS,
    was: "sync on one node deleted a spool file to which another node's agent had just moved its last record",
  },
  {
    seed: 768, knobs: ['ghost', 'elastic', 'disk-full'],
    was: 'an agent took an old WELCOME of the run before for its own, with its ledger and term',
  },
  {
    seed: 6_017_847, knobs: KNOBS,
    was: "sync on one node gave up records that lay in another spool directory of a node's own",
  },
  {
    seed: 6_020_292, knobs: KNOBS,
    was: 'an agent trimmed a journal to what one before it had written to the spool and not synced',
  },
  {
    seed: 101_141, knobs: KNOBS,
    was: 'lives in a spool of a node that no head had met were taken for as sure in time as those of our own',
  },
  {
    seed: 20_010_498, knobs: KNOBS,
    was: 'lives that joined heads on two hosts were compared as if the clocks of these were one',
  },
  {
    seed: 20_068_275, knobs: KNOBS,
    was: 'what a silent rank was last heard of was in the picture of the ended run, not in its ledger',
  },
  {
    seed: 20_101_848, knobs: KNOBS,
    was: 'a head that had lost its lock unnoticed wrote on after the next one had read the ledger',
  },
  {
    seed: 20_562_874, knobs: KNOBS,
    was: 'an agent whose own log could not be made, on a full disk, died of it',
  },
  {
    seed: 20_801_455, knobs: KNOBS,
    was: 'what came while the end was being told was taken, and the session told how it had looked before',
  },
  {
    seed: 20_823_308, knobs: KNOBS,
    was: 'of the simulator: a head that was held up twice in a row was held to the beats of one held up once',
  },
  {
    seed: 20_435_165, knobs: KNOBS,
    was: 'of the simulator: a fault that struck in the instant in which faults ceased was not waited for',
  },
]
