/**
 * `npm run sim`: runs seeds, and when one breaks a law, shrinks it and prints what happened.
 *
 * In: flags. Out: a line of JSON with --json, words otherwise; exit status 1 when a law was broken.
 */
import { parseArgs } from 'node:util'
import { HANGS, walkTogether, type Broken, type Totals } from './jobs.ts'
import { KNOBS, type Knob } from './knobs.ts'
import { planOf, Scenario } from './scenario.ts'
import { shrink } from './shrink.ts'

const { values: flags } = parseArgs({ options: {
  seed: { type: 'string', default: '1' }, seeds: { type: 'string', default: '1' },
  stride: { type: 'string', default: '1' }, jobs: { type: 'string', default: '1' },
  knobs: { type: 'string' }, seconds: { type: 'string' }, json: { type: 'boolean' },
  transcript: { type: 'boolean' }, raw: { type: 'boolean' }, list: { type: 'string' },
  deadline: { type: 'string' }, 'keep-going': { type: 'boolean' },
} })

const knobs = flags.knobs === undefined ? KNOBS
  : flags.knobs.split(',').filter((knob) => knob !== '') as Knob[]

const hrtime = process.hrtime.bind(process)
const begun = hrtime()
const seconds = (): number => {
  const [s, ns] = hrtime(begun)
  return s + ns / 1e9
}

async function main(): Promise<number> {
  const jobs = Number(flags.jobs)
  if (jobs > 1) return together(jobs)
  const [from, least, stride] = [Number(flags.seed), Number(flags.seeds), Number(flags.stride)]
  const limit = flags.seconds === undefined ? 0 : Number(flags.seconds)
  const last = flags.deadline === undefined ? Infinity : Number(flags.deadline)
  let broken = 0
  const listed = flags.list?.split(',').map(Number)
  const totals: Totals = { seeds: 0, events: 0, simulated: 0, synced: 0 }
  for (let n = 0; listed ? n < listed.length : n < least || seconds() < limit; n++) {
    if (seconds() > last) break
    const seed = listed ? listed[n]! : from + n * stride
    process.send?.(seed)
    const plan = planOf(seed, knobs)
    const outcome = await new Scenario(plan, flags.transcript === true).run()
    totals.seeds++
    totals.events += outcome.events
    totals.simulated += outcome.simulated
    totals.synced += Number(outcome.synced)
    if (flags.transcript === true) say(outcome.transcript.join('\n'))
    if (outcome.violation === null) continue
    broken++
    if (flags['keep-going'] === true) {
      const { law, message } = outcome.violation
      say(`${seed} ${law}: ${message.split('\n').slice(0, 2).join(' ')}`)
      continue
    }
    await report(seed, outcome.violation, totals)
    return 1
  }
  summary(totals)
  return broken > 0 ? 1 : 0
}

/** The same walk by several processes. */
async function together(jobs: number): Promise<number> {
  const from = Number(flags.seed)
  const seeds = Math.ceil(Number(flags.seeds) / jobs)
  const same = (['knobs', 'seconds', 'deadline'] as const).flatMap((name) =>
    flags[name] === undefined ? [] : [`--${name}`, flags[name]])
  if (flags['keep-going'] === true) same.push('--keep-going')
  const { seed, violation, ...totals } = await walkTogether(jobs, (n) =>
    ['--json', '--seed', `${from + n}`, '--stride', `${jobs}`, '--seeds', `${seeds}`, ...same])
  if (violation !== null) await report(seed, violation, totals)
  else summary(totals)
  return violation === null ? 0 : 1
}

function summary(totals: Totals): void {
  const took = seconds()
  if (flags.json === true) return say(JSON.stringify({ ...totals, seconds: took, violation: null }))
  const { seeds, events, simulated, synced } = totals
  say(`${seeds} seeds, ${events} events, ${Math.round(simulated / 1000)} simulated s, ${synced} needed sync, `
    + `${took.toFixed(1)} s, ${(1000 * took / seeds).toFixed(1)} ms a seed`)
}

async function report(seed: number, { law, message }: Broken, totals: Totals): Promise<void> {
  const limits = flags.knobs === undefined ? '' : ` --knobs ${flags.knobs}`
  const again = `npm run sim -- --seed ${seed}${limits}`
  if (flags.json === true) {
    return say(JSON.stringify({ ...totals, seed, violation: { law, message }, again, seconds: seconds() }))
  }
  if (law === HANGS) return say(`${law}: ${message}\nagain: ${again}`)
  const plan = planOf(seed, knobs)
  const small = flags.raw === true ? plan : await shrink(plan, law)
  const shown = await new Scenario(small, true).run()
  say(shown.transcript.slice(-400).join('\n'))
  const { faults, knobs: used, ...rest } = small
  say(`\nplan: ${JSON.stringify(rest)}\nknobs: ${used.join(',')}`)
  for (const fault of faults) say(`fault: ${JSON.stringify(fault)}`)
  say(`\nseed ${seed} breaks '${law}': ${shown.violation?.message ?? message}\nagain: ${again}`)
}

const say = (text: string): void => { process.stdout.write(`${text}\n`) }

process.exitCode = await main()
