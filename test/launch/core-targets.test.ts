import { describe, expect, test } from 'vitest'
import { stepOf, targetsOf, type ProcessNode } from '../../lib/launch/core-targets.ts'

let next = 0
const node = (line: string, ...children: ProcessNode[]): ProcessNode => {
  const [name = '', ...args] = line.split(' ')
  return { pid: ++next, name, args, children }
}
/** Names of those who are told, an srun by its step. */
function told(root: ProcessNode): string[] {
  const names = new Map<number, string>()
  const walk = (one: ProcessNode): void => {
    names.set(one.pid, one.name)
    one.children.forEach(walk)
  }
  walk(root)
  return targetsOf(root).map(({ pid, srun }) => srun ? `step of ${names.get(pid)}` : names.get(pid)!)
}

describe('TERM is for', () => {
  test.each([
    ['a program', node('python x.py', node('python loader')), ['python']],
    ['a launcher, which tells its own', node('mpirun -n 2', node('python'), node('orted')), ['mpirun']],
    ['mpirun behind a shell (horovodrun)', node('sh -c mpirun', node('mpirun', node('python'))), ['mpirun']],
    ['the step of srun', node('srun -n4', node('srun -n4')), ['step of srun']],
    ['launchers and script, which may trap it', node('bash job.sh', node('srun')), ['step of srun', 'bash']],
    ['all of a script', node('bash job.sh', node('mpirun'), node('timeout 9', node('srun'))),
      ['mpirun', 'step of srun', 'bash']],
    ['a shell without a launcher', node('sh -c python', node('python')), ['sh']],
    ['a program, whatever it launched', node('python x.py', node('mpirun')), ['python']],
    ['torchrun by the name that it gives itself', node('pt_elastic', node('python')), ['pt_elastic']],
  ])('%s', (_, root, expected) => expect(told(root)).toEqual(expected))
})

test('the step of an srun is found by host and pid', () => {
  const shown = 'StepId=1.0 UserId=0\n   SrunHost:Pid=h0:77\n\n'
    + 'StepId=12_3.4 UserId=0\n   SrunHost:Pid=h0:78\n'
  expect(stepOf(shown, 'h0.cluster', 78)).toBe('12_3.4')
  expect(stepOf(shown, 'h1', 78)).toBeNull()
  expect(stepOf('No steps in the system', 'h0', 78)).toBeNull()
})
