import { table } from '../../lib/cli/output.ts'
import { count } from '../../lib/launch/progress.ts'
import type { Latency, Outcome } from './judge.ts'

const HEAD = [
  'fault', 'runs', 'blows', 'points', 'lost', 'counted', 'twice', 'wrong', 'longest log() µs',
  'p99.9 Node: log − nothing µs', 'Python', 'verdict',
]

export function outcomesTable(outcomes: readonly Outcome[]): string {
  const names = [...new Set(outcomes.map(({ drill }) => drill))]
  return table(HEAD, names.map((name) => {
    const runs = outcomes.filter(({ drill }) => drill === name)
    const sum = (of: (one: Outcome) => number): string =>
      count(runs.reduce((total, one) => total + of(one), 0))
    const worst = (of: (one: Outcome) => number): number => Math.max(...runs.map(of))
    return [
      name, runs.length, sum((one) => one.blows.length), sum((one) => one.logged), sum((one) => one.lost),
      sum((one) => one.counted), sum((one) => one.doubled), sum((one) => one.wrong),
      count(Math.round(worst((one) => one.longest))),
      worst((one) => overNothing(one.node)).toFixed(1), worst((one) => overNothing(one.python)).toFixed(1),
      runs.every(({ problems }) => problems.length === 0) ? 'right' : 'WRONG',
    ]
  }))
}

export const overNothing = ({ p999, p999Nothing }: Latency): number => p999 - p999Nothing

export function problemsText({ drill, seed, seconds, blows, problems }: Outcome): string {
  if (problems.length === 0) return ''
  return [
    `${drill}: npm run drill -- ${drill} --seconds ${seconds} --seed ${seed}`,
    ...blows, ...problems.map((problem) => `  WRONG ${problem}`), '',
  ].join('\n')
}
