import { expect, it } from 'vitest'
import { slurm } from './slurm.ts'

it('a Slurm of two nodes comes up, runs a step on both, and goes', async () => {
  const cluster = await slurm()
  try {
    const script = 'echo $SLURMD_NODENAME $SLURM_PROCID'
    const said = cluster.ask('srun', '-N2', '--ntasks-per-node=2', 'sh', '-c', script)
    expect(said.split('\n').sort()).toEqual(['n1 0', 'n1 1', 'n2 2', 'n2 3'])
  } finally {
    await cluster.dispose()
  }
})
