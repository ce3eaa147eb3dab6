/** A trainer that is not well: one slow rank, one that logs NaN, one that never joins. */
import { init } from 'rankzero'

const { RANK, T_STEPS = '100', T_MS = '20', T_SLOW, T_NAN, T_ABSENT } = process.env
const [slowRank, slowMs] = (T_SLOW ?? '-1:0').split(':').map(Number)
const [nanRank, nanStep] = (T_NAN ?? '-1:0').split(':').map(Number)
const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

if (RANK === T_ABSENT) {
  await sleep(Number(T_STEPS) * Number(T_MS))
  process.exit(0)
}
const run = init({ config: { lr: rateOf(Number(RANK)), batch: 32 } })
for (let step = 0; step < Number(T_STEPS); step++) {
  run.log({ loss: run.rank === nanRank && step >= nanStep ? NaN : 1 / (step + 1) }, { step })
  await sleep(run.rank === slowRank ? slowMs : Number(T_MS))
}
await run.end()

function rateOf(rank) {
  return rank === 3 ? 0.2 : 0.1
}
