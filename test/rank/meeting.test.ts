import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatOwner, identify, isAlone, isOwnedTuple, meetingId, meetingOfRun, parseOwner, sha256,
  type Env, type Facts,
} from '../../lib/rank/index.ts'

const process = (pid: number, name: string) => ({ pid, start: pid * 10, name })
const facts = (pid: number, ...ancestors: ReturnType<typeof process>[]): Facts =>
  ({ pid, procStart: pid * 10, bootId: 'boot', uid: 1000, ancestors })
const meet = (env: Env, of: Facts, explicit = {}) => meetingId(env, of, identify(env, of, explicit))
const recorded = (name: string) => JSON.parse(
  readFileSync(new URL(`./env/${name}.json`, import.meta.url), 'utf8'),
).processes as { env: Env; pid: number; ppid: number }[]
const ranks = (world: number, extra: Env = {}): Env[] => Array.from({ length: world }, (_, rank) => ({
  RANK: `${rank}`, WORLD_SIZE: `${world}`, LOCAL_RANK: `${rank}`, LOCAL_WORLD_SIZE: `${world}`, ...extra,
}))
const bash = process(40, 'bash')
const distinct = (all: { meeting: string }[]) => new Set(all.map((one) => one.meeting)).size

describe('sha256', () => {
  it('is that of node:crypto for any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
      expect(sha256(text)).toBe(createHash('sha256').update(text).digest('hex'))
    }))
  })
})

describe('meeting id', () => {
  it.each([
    ['torchrun', 'torchelastic', 'pt_elastic'], ['torchrun-2nodes', 'torchelastic', 'pt_elastic'],
    ['openmpi', 'launch', 'mpirun'], ['mpich', 'launcher', 'hydra_pmi_proxy'],
    ['horovod-gloo', 'launch', 'sh'], ['slurm-srun', 'slurm', 'slurmstepd'],
  ])('%s: all recorded ranks meet, by %s', (name, from, parent) => {
    const all = recorded(name).map(({ env, pid, ppid }) => meet(env, facts(pid, process(ppid, parent))))
    expect(distinct(all)).toBe(1)
    expect(all[0]!.from).toBe(from)
    expect(all[0]!.meeting).toMatch(/^[0-9a-f]{32}$/)
  })

  it('is that of the run under rankzero run, and of nobody else', () => {
    const env = { RANKZERO_RUN: 'r1', RANK: '0', WORLD_SIZE: '2', LOCAL_RANK: '0' }
    expect(meet(env, facts(7, bash))).toEqual({ meeting: meetingOfRun('r1', 1000), from: 'run' })
    expect(meetingOfRun('r1', 1001)).not.toBe(meetingOfRun('r1', 1000))
  })

  it('is the named one before anything else, if it is one', () => {
    const named = 'ab'.repeat(16)
    const env = { RANKZERO_RUN: 'r1', ...ranks(2, { TORCHELASTIC_RUN_ID: 'job' })[0] }
    const me = meet({ ...env, RANKZERO_MEETING: named }, facts(7, bash))
    expect(me).toEqual({ meeting: named, from: 'meeting' })
    for (const bad of ['', 'ab', named.toUpperCase(), `${named}0`]) {
      expect(meet({ ...env, RANKZERO_MEETING: bad }, facts(7, bash)).from).toBe('run')
    }
  })

  it('is that of mpirun in an allocation, whose ranks on other nodes alone are in a step', () => {
    const rank = (n: number) => ({
      OMPI_COMM_WORLD_RANK: `${n}`, OMPI_COMM_WORLD_SIZE: '2', OMPI_COMM_WORLD_LOCAL_RANK: '0',
      OMPI_MCA_orte_hnp_uri: '1;tcp://h0:5', SLURM_JOB_ID: '9',
    })
    const here = meet(rank(0), facts(7, process(50, 'mpirun')))
    const there = meet({ ...rank(1), SLURM_STEP_ID: '0', SLURM_PROCID: '0' }, facts(8, process(51, 'orted')))
    expect(here).toEqual(there)
  })

  it('is its own for a lone process, also beside another from the same shell', () => {
    const two = [facts(7, bash), facts(8, bash)].map((of) => meet({ MASTER_ADDR: 'h', MASTER_PORT: '1' }, of))
    expect(two.map((one) => one.from)).toEqual(['alone', 'alone'])
    expect(distinct(two)).toBe(2)
  })

  it('follows the launcher process on one node whatever its port, through a wrapper shell too', () => {
    const torchrun = process(50, 'pt_elastic')
    const generations = ['1', '2'].map((port) => ranks(2, {
      TORCHELASTIC_RUN_ID: 'none', MASTER_ADDR: 'localhost', MASTER_PORT: port,
    }))
    const all = generations.flatMap((envs, g) => envs.map((env, i) =>
      meet(env, facts(10 * g + i + 60, process(90 + i, 'sh'), torchrun))))
    expect(distinct(all)).toBe(1)
    expect(all[0]!.from).toBe('launcher')
  })

  it('is another one for another launcher process with the same pid', () => {
    const [env] = ranks(2)
    const reused = facts(7, { pid: 50, start: 999, name: 'mpirun' })
    expect(distinct([meet(env!, facts(7, process(50, 'mpirun'))), meet(env!, reused)])).toBe(2)
  })

  it('is address and port for ranks of several nodes', () => {
    const envs = ranks(4, { LOCAL_WORLD_SIZE: '2', MASTER_ADDR: 'h0', MASTER_PORT: '2950' })
    const all = envs.map((env, i) => meet(env, facts(i + 7, process(i < 2 ? 50 : 51, 'deepspeed'))))
    expect(distinct(all)).toBe(1)
    expect(all[0]!.from).toBe('master')
  })

  it('ties ranks started by a program of the user together by that program, never by a shell or sshd', () => {
    const explicit = [0, 1].map((rank) =>
      meet({}, facts(7 + rank, process(50, 'node')), { rank, worldSize: 2 }))
    expect(distinct(explicit)).toBe(1)
    expect(explicit[0]!.from).toBe('parent')
    for (const parent of [bash, process(41, 'sshd'), process(42, 'cron'), process(43, 'tmux: server')]) {
      const both = ranks(2).map((env, i) => meet(env, facts(7 + i, parent)))
      expect(distinct(both)).toBe(2)
    }
  })

  it('says when ranks of a larger world stand alone', () => {
    const [env] = ranks(2)
    const of = facts(7, bash)
    const me = identify(env!, of)
    expect(isAlone(meetingId(env!, of, me), me)).toBe(true)
    expect(isAlone(meet({}, of), identify({}, of))).toBe(false)
  })

  it('uses the launcher of the environment when an argument gives the rank', () => {
    const [first, second] = ranks(2, { TORCHELASTIC_RUN_ID: 'job' })
    const one = meet(first!, facts(7, bash))
    const two = meet(second!, facts(8, bash), { rank: 1, worldSize: 2 })
    expect(two).toEqual(one)
  })
})

describe('the mark of an owner', () => {
  const owner = { pid: 50, rank: 0, worldSize: 2, localRank: 0, meeting: 'f'.repeat(32) }
  const env = { RANKZERO_OWNER: formatOwner(owner) }

  it('is found by a descendant and by the same process, and void elsewhere', () => {
    expect(parseOwner(env, facts(7, bash, process(50, 'node')))).toEqual(owner)
    expect(parseOwner(env, facts(50, bash))).toEqual(owner)
    expect(parseOwner(env, facts(7, bash))).toBeNull()
  })

  it('is void when it is damaged', () => {
    for (const text of ['', '50', '50:0:0:0:x', '50:1:1:0:x', 'a:b:c:d:e', '50:0:2:0:']) {
      expect(parseOwner({ RANKZERO_OWNER: text }, facts(50))).toBeNull()
    }
  })

  it('silences the inherited tuple and lets a child with a rank of its own into the same meeting', () => {
    const of = facts(7, process(50, 'node'))
    expect(isOwnedTuple(owner, identify(env, of, { rank: 0, worldSize: 2 }))).toBe(true)
    expect(isOwnedTuple(owner, identify(env, of, { rank: 1, worldSize: 2 }))).toBe(false)
    expect(meet(env, of, { rank: 1, worldSize: 2 })).toEqual({ meeting: owner.meeting, from: 'owner' })
  })
})
