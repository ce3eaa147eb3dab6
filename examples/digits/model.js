// A perceptron with one hidden layer.
// Parameters and gradients are flat vectors, so that one all-reduce carries them.
import { CLASSES, PIXELS } from './data.js'

const HIDDEN = 48
const OUTPUT = HIDDEN * (PIXELS + 1)
/** Each unit has its inputs' weights and, last, its bias. */
export const PARAMETERS = OUTPUT + CLASSES * (HIDDEN + 1)

export function initialParameters(random) {
  const scale = (index) => Math.sqrt(6 / (index < OUTPUT ? PIXELS : HIDDEN))
  return Float64Array.from({ length: PARAMETERS }, (_, index) => (random() * 2 - 1) * scale(index))
}

function dense(input, parameters, offset, units, output) {
  const stride = input.length + 1
  for (let unit = 0; unit < units; unit++) {
    const row = offset + unit * stride
    let sum = parameters[row + input.length]
    for (let i = 0; i < input.length; i++) sum += parameters[row + i] * input[i]
    output[unit] = sum
  }
}

function denseGradient(input, delta, offset, gradient) {
  const stride = input.length + 1
  for (let unit = 0; unit < delta.length; unit++) {
    if (delta[unit] === 0) continue
    const row = offset + unit * stride
    for (let i = 0; i < input.length; i++) gradient[row + i] += delta[unit] * input[i]
    gradient[row + input.length] += delta[unit]
  }
}

const hidden = new Float64Array(HIDDEN)
const hiddenDelta = new Float64Array(HIDDEN)
const scores = new Float64Array(CLASSES)

/** Class probabilities of one image, left in `scores`. */
function forward(parameters, pixels) {
  dense(pixels, parameters, 0, HIDDEN, hidden)
  for (let unit = 0; unit < HIDDEN; unit++) hidden[unit] = Math.max(0, hidden[unit])
  dense(hidden, parameters, OUTPUT, CLASSES, scores)
  const top = Math.max(...scores)
  let sum = 0
  for (let c = 0; c < CLASSES; c++) sum += scores[c] = Math.exp(scores[c] - top)
  for (let c = 0; c < CLASSES; c++) scores[c] /= sum
}

/** Adds the gradient of the loss, summed over the batch, to `gradient`; returns sums, not means. */
export function accumulate(parameters, batch, gradient) {
  let loss = 0
  let correct = 0
  for (const { pixels, label } of batch) {
    forward(parameters, pixels)
    loss -= Math.log(Math.max(scores[label], 1e-300))
    if (scores.indexOf(Math.max(...scores)) === label) correct++
    scores[label] -= 1
    hiddenDelta.fill(0)
    for (let c = 0; c < CLASSES; c++) {
      const row = OUTPUT + c * (HIDDEN + 1)
      for (let unit = 0; unit < HIDDEN; unit++) hiddenDelta[unit] += scores[c] * parameters[row + unit]
    }
    for (let unit = 0; unit < HIDDEN; unit++) if (hidden[unit] === 0) hiddenDelta[unit] = 0
    denseGradient(hidden, scores, OUTPUT, gradient)
    denseGradient(pixels, hiddenDelta, 0, gradient)
  }
  return { loss, correct }
}

export function accuracy(parameters, samples) {
  let correct = 0
  for (const { pixels, label } of samples) {
    forward(parameters, pixels)
    if (scores.indexOf(Math.max(...scores)) === label) correct++
  }
  return correct / samples.length
}

export function norm(vector) {
  let squares = 0
  for (const value of vector) squares += value * value
  return Math.sqrt(squares)
}
