// The trials as data: what runs, with which arguments, what its numbers mean. Budgets are those of the
// design.

const CALLS = {
  'log()': 'log',
  'empty loop': 'empty',
  'Date.now(), once a call': 'clock',
  'array push': 'push',
  'JSON.stringify': 'json',
  'fs.writeSync of a line': 'write',
}

const logTrials = [2, 10, 50].flatMap((metrics) => Object.entries(CALLS).map(([title, what]) => ({
  name: `${title}, ${metrics} metrics`,
  script: 'log.js',
  args: [metrics, what],
  measures: { ns: { unit: 'ns/metric', budget: what === 'log' ? '≤ 60' : '' } },
})))

export const TRIALS = [
  ...logTrials,
  {
    name: 'admit + durable commit, one core',
    script: 'commit.js',
    args: ['admit'],
    measures: { rate: { unit: 'points/s', budget: '≥ 5 M' } },
  },
  {
    name: 'the same with merge and seals',
    script: 'commit.js',
    args: ['merge'],
    measures: { rate: { unit: 'points/s', budget: '≥ 2 M' } },
  },
  ...['f32', 'f64'].map((values) => ({
    name: `4 workers, 50 metrics, ${values}`,
    script: 'road.js',
    args: [values],
    measures: {
      'log() to the end of rankzero run': { unit: 'points/s' },
      'wire': { unit: 'bytes/point', budget: values === 'f32' ? '≤ 6' : '≤ 10' },
      'disk': { unit: 'bytes/point', budget: values === 'f32' ? '≤ 6' : '≤ 10' },
    },
  })),
  {
    name: 'log() to visible in status',
    script: 'visible.js',
    measures: { median: { unit: 'ms' }, worst: { unit: 'ms', budget: '≤ 1000' } },
  },
  {
    name: '8 ranks × 50 metrics × 10 steps/s',
    script: 'memory.js',
    measures: {
      'agent, PSS': { unit: 'MB' },
      'agent, PSS without shared pages': { unit: 'MB', budget: '≤ 60' },
      'agent, CPU': { unit: '% of a core', budget: '≤ 0.5' },
      'aggregator, PSS': { unit: 'MB' },
    },
  },
  {
    name: '8 workers',
    script: 'overhead.js',
    measures: {
      'run time, no-op log': { unit: 's' },
      'run time, logging': { unit: 's' },
      'ratio': { unit: '×' },
    },
  },
]
