/** Makes a plan that breaks a law as small as it can be found to be, while it breaks the same law. */
import { forgetful } from './knobs.ts'
import { Scenario, type Plan } from './scenario.ts'

/** Runs that a shrinking may cost. */
const TRIES = 300

export async function shrink(plan: Plan, law: string): Promise<Plan> {
  let best = plan
  let tries = 0
  const keep = async (smaller: Plan): Promise<boolean> => {
    if (++tries > TRIES) return false
    const { violation } = await new Scenario(smaller).run()
    if (violation?.law !== law) return false
    best = smaller
    return true
  }
  for (let before: Plan | null = null; before !== best && tries < TRIES;) {
    before = best
    for (const one of Object.keys(best.net) as (keyof Plan['net'])[]) {
      if (best.net[one] !== 0 && one !== 'delayMs') await keep({ ...best, net: { ...best.net, [one]: 0 } })
    }
    for (const fault of best.faults) {
      await keep({ ...best, faults: best.faults.filter((one) => one !== fault) })
    }
    for (const change of SIMPLER) {
      const smaller = change(best)
      if (smaller !== null) await keep(smaller)
    }
  }
  return best
}

const SIMPLER: ((plan: Plan) => Plan | null)[] = [
  (plan) => ({ ...plan, net: forgetful() }),
  (plan) => plan.tracker === null ? null : { ...plan, tracker: null },
  (plan) => plan.secondRun ? { ...plan, secondRun: false } : null,
  (plan) => plan.key === null || plan.secondRun ? null : { ...plan, key: null },
  (plan) => plan.ranks > plan.nodes ? { ...plan, ranks: plan.ranks - 1 } : null,
  (plan) => plan.steps > 3 ? { ...plan, steps: Math.floor(plan.steps / 2) } : null,
  (plan) => plan.knobs.includes('short-reads')
    ? { ...plan, knobs: plan.knobs.filter((knob) => knob !== 'short-reads') } : null,
  (plan) => plan.offsets.some((one) => one !== 0) ? { ...plan, offsets: plan.offsets.map(() => 0) } : null,
  (plan) => plan.rates.some((one) => one !== 1) ? { ...plan, rates: plan.rates.map(() => 1) } : null,
  (plan) => plan.supervised ? { ...plan, supervised: false } : null,
]
