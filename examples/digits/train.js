// Data-parallel training on the handwritten digits, one process per rank:
//   npx rankzero run --nproc 4 --project digits -- node examples/digits/train.js
// Every rank logs what it sees of its own shard; rankzero makes one session of it.
import { parseArgs } from 'node:util'
import { init } from 'rankzero'
import { joinGroup } from './allreduce.js'
import { loadDigits, randomFrom, shardOf, shuffle } from './data.js'
import { accumulate, accuracy, initialParameters, norm, PARAMETERS } from './model.js'

const SAMPLES_PER_SHARE = 8
const LEARNING_RATE = 0.5
const SEED = 7

const { values: flags } = parseArgs({ options: { epochs: { type: 'string', default: '25' } } })
const epochs = Number(flags.epochs)

const run = init({ project: 'digits' })
run.params({ epochs, learningRate: LEARNING_RATE, samplesPerShare: SAMPLES_PER_SHARE, seed: SEED })
run.define('samples', { reduce: 'sum' })
run.define('time/*', { reduce: 'max' })
run.define('test/*', { reduce: 'rank0' })

const { train, test } = loadDigits()
const shard = shardOf(train, run.rank, run.worldSize)
// A rank with a larger shard takes larger batches: all shards last for the same number of steps.
const batchSize = SAMPLES_PER_SHARE * (run.rank + 1)
const stepsPerEpoch = Math.floor(shardOf(train, 0, run.worldSize).length / SAMPLES_PER_SHARE)
const random = randomFrom(SEED + run.rank)
const parameters = initialParameters(randomFrom(SEED))
const group = await joinGroup({
  rank: run.rank,
  worldSize: run.worldSize,
  host: process.env.MASTER_ADDR ?? '127.0.0.1',
  port: Number(process.env.MASTER_PORT ?? 29500),
})

/** One step on this rank's batch. The last cell of the reduced vector counts samples: all weigh the same. */
async function trainStep(batch, step) {
  const started = performance.now()
  const gradient = new Float64Array(PARAMETERS + 1)
  const { loss, correct } = accumulate(parameters, batch, gradient)
  const ownNorm = norm(gradient) / batch.length
  gradient[PARAMETERS] = batch.length
  const computed = performance.now()
  await group.sum(gradient)
  const scale = LEARNING_RATE / gradient[PARAMETERS]
  for (let i = 0; i < PARAMETERS; i++) parameters[i] -= scale * gradient[i]
  run.log({
    'train/loss': loss / batch.length,
    'train/accuracy': correct / batch.length,
    'train/gradient_norm': ownNorm,
    'samples': batch.length,
    'time/compute_ms': computed - started,
    'time/step_ms': performance.now() - started,
  }, { step, weight: batch.length })
  return loss / batch.length
}

/** One line that is rewritten on a terminal; elsewhere a line for every fifth epoch. */
function showProgress(epoch, loss, score) {
  const line = `epoch ${epoch}/${epochs}  rank 0 loss ${loss.toFixed(4)}  test accuracy ${score.toFixed(3)}`
  if (process.stdout.isTTY) process.stdout.write(`\r${line}\x1b[K${epoch === epochs ? '\n' : ''}`)
  else if (epoch % 5 === 0 || epoch === epochs) console.log(line)
}

let step = 0
for (let epoch = 1; epoch <= epochs; epoch++) {
  shuffle(shard, random)
  let loss = 0
  for (let i = 0; i < stepsPerEpoch; i++) {
    loss = await trainStep(shard.slice(i * batchSize, (i + 1) * batchSize), step++)
  }
  if (run.rank > 0) continue
  const score = accuracy(parameters, test)
  run.log({ 'test/accuracy': score }, { step: step - 1 })
  showProgress(epoch, loss, score)
}
group.close()
await run.end()
