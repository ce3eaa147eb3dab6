/** Trials of what only rankzero has, as data: scripts of trials/, each in a fresh process. */
const lower = (unit, budget = null) => ({ unit, better: 'lower', ...budget && { budget } })
const higher = (unit, budget) => ({ unit, better: 'higher', ...budget && { budget } })

/** Budgets beside their measures, as the trials of peers have them. */
function own({ measures, ...trial }) {
  const budgets = Object.entries(measures).filter(([, { budget }]) => budget)
  return {
    ...trial, peers: ['rankzero'], measures,
    budgets: Object.fromEntries(budgets.map(([name, { budget }]) => [name, { rankzero: budget }])),
  }
}

/** One aggregator under thousands of ranks. Eight ranks a node; 20 s each. */
const SCALES = [
  { name: '64', what: '64 ranks × 50 metrics × 10 steps/s', args: { ranks: 64 } },
  { name: '512', what: '512 ranks × 50 metrics × 10 steps/s', args: { ranks: 512 } },
  { name: '1024', what: '1,024 ranks × 50 metrics × 10 steps/s', args: { ranks: 1024 } },
  { name: '2048', what: '2,048 ranks × 50 metrics × 10 steps/s', args: { ranks: 2048 } },
  { name: '4096', what: '4,096 ranks × 50 metrics × 10 steps/s', args: { ranks: 4096 } },
  { name: 'few-metrics', what: '4,096 ranks × 5 metrics × 10 steps/s', args: { ranks: 4096, metrics: 5 } },
  { name: 'many-metrics', what: '64 ranks × 1,000 metrics × 10 steps/s', args: { ranks: 64, metrics: 1000 } },
  { name: 'fast', what: '64 ranks × 50 metrics × 200 steps/s', args: { ranks: 64, rate: 200 } },
  {
    name: 'straggler', what: '1,024 ranks, one node 5 s behind the others',
    args: { ranks: 1024, stragglerMs: 5000 },
  },
  {
    name: 'gone', what: '1,040 ranks, 13 of 130 nodes lost half-way',
    args: { ranks: 1040, goneNodes: 13, seconds: 60 },
  },
  {
    name: 'restart', what: '4,096 ranks, SIGKILL of the aggregator half-way',
    args: { ranks: 4096, restart: 1 },
  },
]

const scaleTrial = ({ name, what, args }) => own({
  name: `scale-${name}`, title: `one aggregator, shared with its load: ${what}`, script: 'scale.js',
  args: Object.entries(args).map(([key, value]) => `${key}=${value}`),
  measures: {
    'ranks': higher('ranks'), 'offered': higher('points/s'), 'frames': lower('frames/s'),
    'all nodes in': lower('ms'), ...args.restart && { 'all nodes back': lower('ms') },
    'seal, p50': lower('ms'), 'seal, p99': lower('ms', name === '4096' ? '≤ 1000' : null),
    'late by': lower('ms'), 'aggregator, PSS': lower('MB', '≤ 500'), 'aggregator, CPU': lower('% of a core'),
    'generator, CPU': lower('% of a core'), 'partial rows': lower('rows'), 'resent': lower('frames'),
    'points lost': lower('points', '0'),
  },
})

export const OWN_TRIALS = [
  ...SCALES.map(scaleTrial),
  own({
    name: 'ingest', title: 'one aggregator core: admission and durable commit',
    script: 'commit.js', args: ['admit'],
    measures: { rate: higher('points/s', '≥ 5 M') },
  }),
  own({
    name: 'merge', title: 'the same with merge and seals', script: 'commit.js', args: ['merge'],
    measures: { rate: higher('points/s', '≥ 2 M') },
  }),
  ...['f32', 'f64'].map((values) => own({
    name: `road-${values}`, title: `4 workers at full speed, 50 metrics, values exact in ${values}`,
    script: 'road.js', args: [values],
    measures: {
      'log() to the end of rankzero run': higher('points/s'),
      'wire': lower('bytes/point', values === 'f32' ? '≤ 6' : '≤ 10'),
      'disk': lower('bytes/point', values === 'f32' ? '≤ 6' : '≤ 10'),
    },
  })),
  own({
    name: 'visible', title: 'from log() to the merged row in the status of a live run', script: 'visible.js',
    measures: { median: lower('ms'), worst: lower('ms', '≤ 1000') },
  }),
  own({
    name: 'node', title: '8 ranks × 50 metrics × 10 steps/s', script: 'memory.js',
    measures: {
      'agent, PSS': lower('MB'), 'agent, PSS without shared pages': lower('MB', '≤ 60'),
      'agent, CPU': lower('% of a core', '≤ 0.5'), 'aggregator, PSS': lower('MB'),
    },
  }),
  own({
    name: 'floor', title: "a process with an agent's rhythm and none of its work", script: 'floor.js',
    measures: { 'wakes only': lower('% of a core'), 'wakes and sends': lower('% of a core') },
  }),
  ...['node', 'python'].map((language) => own({
    name: `exit-${language}`,
    title: `supervised exit, ${language}, beyond that of a trainer that logs nothing`,
    script: 'exit.js', args: [language],
    measures: {
      'everything at work': lower('ms', '≤ 100'), 'agent and aggregator stopped': lower('ms', '≤ 100'),
    },
  })),
  own({
    name: 'overhead', title: '8 computing workers, with log() and with one that does nothing',
    script: 'overhead.js',
    measures: { 'run time, no-op log': lower('s'), 'run time, logging': lower('s'), 'ratio': lower('×') },
  }),
  own({
    name: 'server', title: '2 computing workers, and a Comet server that is well or ill', script: 'server.js',
    measures: Object.fromEntries([
      ['no backend, loop', lower('s')],
      ...['up', 'refusing', 'hanging', 'away in the middle', 'away at the end'].flatMap((how) => [
        [`${how}, loop`, lower('× of no backend')], [`${how}, trainer exit`, lower('ms', '≤ 100')],
        [`${how}, rankzero run`, lower('s after it', '≤ 3')],
      ]),
    ]),
  }),
  ...[1, 5].map((millions) => own({
    name: `recovery-${millions}`, title: `an aggregator is killed with ${millions} M points in its ledger`,
    script: 'recovery.js', args: [millions], measures: { 'kill to all told again': lower('ms') },
  })),
  own({
    name: 'export', title: 'export of 1 M points of 4 ranks', script: 'export.js',
    measures: { rows: higher('rows/s'), points: higher('points/s') },
  }),
  own({
    name: 'cold', title: 'start to end of a command', script: 'cold.js',
    measures: Object.fromEntries(
      ['node, nothing', '--version', '--help', 'status', 'audit'].map((name) => [name, lower('ms')])),
  }),
]
