// The trials as data: what runs, with which arguments, what its numbers mean. Budgets are those of the
// design.
import { existsSync } from 'node:fs'
import { VENV_PYTHON } from './kit.js'

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

/** tensorboardX is measured where the tests have brought it. */
const PYTHON_CALLS = {
  'run.log()': 'log',
  'json.dumps and write': 'json',
  'logging.info': 'logging',
  ...existsSync(VENV_PYTHON) && { tensorboardX: 'tensorboardX' },
}

const pythonTrials = [1, 10, 100].flatMap((metrics) => Object.entries(PYTHON_CALLS).map(([title, what]) => ({
  name: `Python ${title}, ${metrics} metrics`,
  script: 'python.js',
  args: ['python-log.py', metrics, what],
  measures: {
    median: { unit: 'us/call', budget: what === 'log' && metrics === 10 ? '≤ 3' : '' },
    p99: { unit: 'us/call' },
    max: { unit: 'us/call' },
  },
})))

export const TRIALS = [
  ...logTrials,
  ...pythonTrials,
  {
    name: 'Python, 10 metrics a call',
    script: 'python.js',
    args: ['python-cpu.py'],
    measures: {
      'trainer': { unit: 'CPU-s/M points' },
      'agent and aggregator': { unit: 'CPU-s/M points' },
      'whole tree': { unit: 'CPU-s/M points', budget: '≤ 1.0' },
    },
  },
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
  ...['node', 'python'].map((language) => ({
    name: `supervised exit, ${language}, beyond that of a trainer that logs nothing`,
    script: 'exit.js',
    args: [language],
    measures: {
      'everything at work': { unit: 'ms', budget: '≤ 100' },
      'agent and aggregator stopped': { unit: 'ms', budget: '≤ 100' },
    },
  })),
  {
    name: 'server',
    script: 'server.js',
    measures: Object.fromEntries([
      ['up, loop', { unit: 's' }],
      ...['up', 'refusing', 'hanging', 'away in the middle', 'away at the end'].flatMap((how) => [
        ...how === 'up' ? [] : [[`${how}, loop`, { unit: '× of up' }]],
        [`${how}, trainer exit`, { unit: 'ms', budget: '≤ 100' }],
        [`${how}, rankzero run`, { unit: 's after it', budget: '≤ 3' }],
      ]),
    ]),
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
