import { describe, expect, test } from 'vitest'
import {
  howItFailed, isManaged, isSrunsQuestion, outcomeOf, passesOn, statusOf, wasSrunsAnswer,
  type Exit, type SignalFacts,
} from '../../lib/launch/core-outcome.ts'

const left = (rank: number, exit: number | null, signal: string | null = null, stopped = false): Exit =>
  ({ rank, pid: 100 + rank, exit, signal, stopped })

describe('the status of COMMAND', () => {
  test('is 0 when all workers left with 0', () => {
    expect(outcomeOf([left(0, 0), left(1, 0)])).toEqual({ exit: 0, signal: null })
  })
  test('is that of the first failure in time', () => {
    expect(outcomeOf([left(1, 0), left(2, 3), left(0, 4)])).toEqual({ exit: 3, signal: null })
  })
  test('is not that of a worker that we stopped, even if it left first', () => {
    expect(outcomeOf([left(0, null, 'SIGTERM', true), left(1, 5)])).toEqual({ exit: 5, signal: null })
  })
  test('is that of a stopped worker when nobody failed by himself', () => {
    expect(outcomeOf([left(0, 0), left(1, null, 'SIGTERM', true)])).toEqual({ exit: null, signal: 'SIGTERM' })
  })
  test('is 128 + n for signal n', () => {
    expect(statusOf({ exit: null, signal: 'SIGKILL' }, { SIGKILL: 9 })).toBe(137)
    expect(statusOf({ exit: 7, signal: null }, {})).toBe(7)
  })
})

test('a failure is one line with rank, host, pid, cause and last step', () => {
  const base = { rank: 2, host: 'node7', pid: 41, exit: null, signal: 'SIGKILL', lastStep: 90 }
  expect(howItFailed(base)).toBe('rank 2 on node7 (pid 41) was killed by SIGKILL, last step 90')
  const error = { type: 'ValueError', message: 'bad\nsecond line' }
  expect(howItFailed({ ...base, signal: null, exit: 1, error, lastStep: null }))
    .toBe('rank 2 on node7 (pid 41) exited with status 1 (ValueError: bad), no step logged')
  expect(howItFailed({ ...base, signal: null, cause: 'node-lost' }))
    .toBe('rank 2 on node7 (pid 41) was lost with its node, last step 90')
  expect(howItFailed({ ...base, rank: -1 })).toBe('COMMAND on node7 (pid 41) was killed by SIGKILL')
})

test('its output is named where it is known', () => {
  const log = '/runs/r/console/rank-0.log'
  const failed = { rank: 0, host: 'h', pid: 1, exit: 3, signal: null, lastStep: 1, log }
  expect(howItFailed(failed)).toBe('rank 0 on h (pid 1) exited with status 3, last step 1; '
    + `its output: ${log}`)
})

test('one Ctrl-C is a question to srun, two within a second are not', () => {
  expect(isSrunsQuestion('SIGINT', 'srun', 5000, -Infinity)).toBe(true)
  expect(isSrunsQuestion('SIGINT', 'srun', 5000, 4500)).toBe(false)
  expect(isSrunsQuestion('SIGINT', 'mpirun', 5000, -Infinity)).toBe(false)
  expect(isSrunsQuestion('SIGTERM', 'srun', 5000, -Infinity)).toBe(false)
})

test('srun that fails soon after a question was answered, also where the second Ctrl-C was not heard', () => {
  const failed = { exit: 130, signal: null }
  expect(wasSrunsAnswer(failed, 6000, 5000)).toBe(true)
  expect(wasSrunsAnswer({ exit: 0, signal: null }, 6000, 5000)).toBe(false)
  expect(wasSrunsAnswer(failed, 60_000, 5000)).toBe(false)
  expect(wasSrunsAnswer(failed, 6000, -Infinity)).toBe(false)
})

describe('a signal is passed on', () => {
  const facts = { mode: 'auto', foreground: false, terminal: false, managed: false } as const
  test.each([
    ['TERM', { ...facts, signal: 'SIGTERM' }, true],
    ['TERM on a terminal', { ...facts, signal: 'SIGTERM', foreground: true, terminal: true }, true],
    ['INT of a terminal', { ...facts, signal: 'SIGINT', foreground: true, terminal: true }, false],
    ['INT in the background', { ...facts, signal: 'SIGINT', terminal: true }, true],
    ['INT without a terminal', { ...facts, signal: 'SIGINT' }, true],
    ['HUP of a terminal', { ...facts, signal: 'SIGHUP', terminal: true }, false],
    ['HUP without a terminal', { ...facts, signal: 'SIGHUP' }, true],
    ['TERM in a Slurm step', { ...facts, signal: 'SIGTERM', managed: true }, false],
    ['TERM, never', { ...facts, signal: 'SIGTERM', mode: 'never' }, false],
    ['INT of a terminal, always', { ...facts, signal: 'SIGINT', foreground: true, mode: 'always' }, true],
  ] as [string, SignalFacts, boolean][])('%s', (_, one, expected) => { expect(passesOn(one)).toBe(expected) })
})

test('a real Slurm step and MPI signal everyone by themselves; a Slurm batch script does not', () => {
  expect(isManaged({ SLURM_STEP_ID: '0' })).toBe(true)
  expect(isManaged({ SLURM_STEP_ID: '4294967291' })).toBe(false)
  expect(isManaged({ OMPI_COMM_WORLD_RANK: '1' })).toBe(true)
  expect(isManaged({})).toBe(false)
})
