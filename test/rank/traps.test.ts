/** Nested and leaking launchers, recorded with Slurm 22.05, Open MPI 4.1, MPICH 4.0 and torch 2.15. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { identify, meetingId, type Env, type Facts } from '../../lib/rank/index.ts'

interface Recording {
  launcher: string
  processes: { expect: { rank: number; world: number }; pid: number; ppid: number; env: Env }[]
}
const recordings = JSON.parse(
  readFileSync(new URL('./traps.json', import.meta.url), 'utf8')) as Recording[]

/** What tells of each, the table of launchers.md §1.3. */
const DECIDES: Record<string, [source: string, parent: string, meeting: string]> = {
  'slurm-srun-pmi2': ['slurm-pmi2', 'slurmstepd', 'slurm'],
  'slurm-srun-preserved': ['slurm', 'slurmstepd', 'slurm'],
  'salloc-openmpi': ['openmpi', 'mpirun.openmpi', 'launch'],
  'sbatch-body': ['single', 'sh', 'alone'],
  'sbatch-mpich': ['pmi', 'hydra_pmi_proxy', 'launcher'],
  'sbatch-srun': ['slurm', 'slurmstepd', 'slurm'],
  'sbatch-torchrun': ['torchelastic', 'pt_elastic', 'torchelastic'],
  'horovod-mpi': ['openmpi', 'mpirun', 'launch'],
}

describe('traps, recorded', () => {
  it.each(recordings)('$launcher: the innermost gives rank and meeting', ({ launcher, processes }) => {
    const [source, parent, from] = DECIDES[launcher]!
    const meetings = processes.map(({ env, expect: said, pid }) => {
      const facts: Facts = {
        pid, procStart: pid, bootId: 'b', uid: 0, ancestors: [{ pid: 1000, start: 1, name: parent }],
      }
      const me = identify(env, facts)
      expect([me.source, me.rank, me.worldSize]).toEqual([source, said.rank, said.world])
      return meetingId(env, facts, me)
    })
    expect(new Set(meetings.map(({ meeting }) => meeting)).size).toBe(1)
    expect(meetings[0]!.from).toBe(from)
  })

  it('has every trap', () => {
    expect(recordings.map(({ launcher }) => launcher).sort()).toEqual(Object.keys(DECIDES).sort())
  })
})
