import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  headCandidates, identify, isAlone, isOwnedTuple, launchedBy, meetingId, parseOwner, type Env, type Facts,
} from '../../lib/rank/index.ts'
import { random } from '../scenario/harness.ts'
import { python } from './kit.ts'

interface Case {
  env: Env
  facts: Facts
  explicit: { rank?: number; worldSize?: number; localRank?: number }
}

/** What the TypeScript side says of a case. */
function answer({ env, facts, explicit }: Case): object {
  try {
    const me = identify(env, facts, explicit)
    const meeting = meetingId(env, facts, me)
    const owner = parseOwner(env, facts)
    return {
      ...me, ...meeting, ...headCandidates(env, me), alone: isAlone(meeting, me),
      launched: launchedBy(meeting, facts),
      owned: owner !== null && isOwnedTuple(owner, me),
    }
  } catch {
    return { refused: true }
  }
}

const SCRIPT = `
import json, sys
from rankzero.meeting import head_candidates, is_alone, launched_by, meeting_id
from rankzero.process import Facts, ProcessFact
from rankzero.rank import Explicit, identify, is_owned_tuple, parse_owner
from rankzero.errors import RankzeroError

def camel(name):
    first, *rest = name.split('_')
    return first + ''.join(word.capitalize() for word in rest)

def shown(record, *names):
    return {camel(name): getattr(record, name) for name in names or record._fields}

def answer(case):
    env, f, given = case['env'], case['facts'], case['explicit']
    above = tuple(ProcessFact(a['pid'], a['start'], a['name']) for a in f['ancestors'])
    facts = Facts(f['pid'], f['procStart'], f['bootId'], f['uid'], above)
    explicit = Explicit(given.get('rank'), given.get('worldSize'), given.get('localRank'))
    try:
        me = identify(env, facts, explicit)
    except RankzeroError:
        return {'refused': True}
    meeting = meeting_id(env, facts, me)
    owner = parse_owner(env, facts)
    mine = (me.rank, me.world_size, me.local_rank)
    return {
        **shown(me), 'meeting': meeting.meeting, 'from': meeting.source,
        'conflicts': [shown(c, 'source', 'variables', 'rank', 'world_size') for c in me.conflicts],
        'rejected': [shown(r) for r in me.rejected],
        **head_candidates(env, me.world_size, me.local_world_size),
        'alone': is_alone(meeting, me), 'launched': launched_by(meeting, facts),
        'owned': owner is not None and is_owned_tuple(owner, mine),
    }

print(json.dumps([answer(case) for case in json.load(sys.stdin)]))
`

function expectSame(cases: Case[]): void {
  const theirs = JSON.parse(python(SCRIPT, JSON.stringify(cases))) as object[]
  for (const [i, one] of cases.entries()) {
    const ours = JSON.parse(JSON.stringify(answer(one))) as object
    expect({ case: one, said: theirs[i] }).toEqual({ case: one, said: ours })
  }
}

const here = new URL('../rank/env/', import.meta.url)
interface Recording { processes: { pid: number; ppid: number; env: Env }[] }
const recorded = readdirSync(here)
  .flatMap((name) => (JSON.parse(readFileSync(new URL(name, here), 'utf8')) as Recording).processes)

/** Every variable that decides something, with values that do, nearly do, and do not. */
const NUMBERS = [
  '0', '1', '2', '3', '4', '8', '', '-1', '1.0', 'x', ' 1', '1048576', '1048577', '99999999999999999',
]
const NUMBERED = [
  'RANKZERO_RANK', 'RANKZERO_WORLD_SIZE', 'RANKZERO_LOCAL_RANK', 'RANKZERO_LOCAL_WORLD_SIZE',
  'RANKZERO_NODE_RANK', 'RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'LOCAL_WORLD_SIZE', 'LOCAL_SIZE', 'GROUP_RANK',
  'NODE_RANK', 'NUM_NODES', 'GROUP_WORLD_SIZE', 'HOROVOD_RANK', 'HOROVOD_SIZE', 'HOROVOD_LOCAL_RANK',
  'HOROVOD_LOCAL_SIZE', 'HOROVOD_CROSS_RANK', 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE',
  'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_LOCAL_SIZE', 'JSM_NAMESPACE_RANK', 'JSM_NAMESPACE_SIZE',
  'JSM_NAMESPACE_LOCAL_RANK', 'PALS_RANKID', 'PMI_RANK', 'PMI_SIZE', 'PMI_LOCAL_RANK', 'PMI_LOCAL_SIZE',
  'PALS_LOCAL_RANKID', 'PALS_NODEID', 'MV2_COMM_WORLD_RANK', 'MV2_COMM_WORLD_SIZE', 'MPI_LOCALRANKID',
  'MPI_LOCALNRANKS', 'FLUX_TASK_RANK', 'FLUX_JOB_SIZE', 'FLUX_TASK_LOCAL_ID', 'SLURM_PROCID',
  'SLURM_STEP_NUM_TASKS', 'SLURM_LOCALID', 'SLURM_NODEID', 'SLURM_NNODES',
]
const NAMED: Record<string, string[]> = {
  SLURM_STEP_ID: ['0', '7', '4294967290', 'x'], SLURM_JOB_ID: ['9', ''],
  SLURM_STEP_TASKS_PER_NODE: ['2(x3),1', '4', '1,2,3', '2(x', ''],
  SLURM_STEP_NODELIST: ['node[03-05,7],login', 'a', 'n[1,2]x[3]', ''],
  RANKZERO_PARENT_PID: ['50', '51', 'x'], TORCHELASTIC_RUN_ID: ['none', 'job', ''], PALS_APID: ['a'],
  PMI_JOBID: ['9.0'], PMIX_NAMESPACE: ['ns', ''], OMPI_MCA_orte_hnp_uri: ['1.0;tcp'], FLUX_JOB_ID: ['f1'],
  HOROVOD_GLOO_RENDEZVOUS_ADDR: ['h', ''], HOROVOD_GLOO_RENDEZVOUS_PORT: ['1'],
  MASTER_ADDR: ['h0', 'localhost', '127.0.0.1', '::1', 'ä', ''], MASTER_PORT: ['29500', ''],
  RANKZERO_RUN: ['r1', ''], RANKZERO_MEETING: ['0123456789abcdef0123456789abcdef', 'short'],
  RANKZERO_HEAD: ['h:1', 'h', 'h:0', '[::1]:5', 'fe80::1', 'a b', ' h '],
  RANKZERO_OWNER: ['50:0:2:0:ffff', '100:1:4:1:ee', '50:4:4:0:x', '50', ''],
}
const NAMES = ['bash', 'mpirun', 'pt_elastic', 'node', 'sshd', 'tmux: server', 'slurmstepd', 'env', 'python']
const SETS = ['RANK|WORLD_SIZE|LOCAL', 'OMPI', 'SLURM', 'PMI', 'HOROVOD', 'RANKZERO', 'MASTER', 'FLUX|PALS']

/** Whole families with plausible numbers, a few strays, and any processes above. */
function randomCase(next: () => number): Case {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!
  const env: Record<string, string> = {}
  const families = SETS.filter(() => next() < 0.3).map((text) => new RegExp(text))
  const size = pick([1, 2, 4, 8])
  for (const name of [...NUMBERED, ...Object.keys(NAMED)]) {
    const isOf = families.some((family) => family.test(name))
    if (isOf ? next() < 0.15 : next() > 0.03) continue
    env[name] = NAMED[name] ? pick(NAMED[name]) : next() < 0.1 ? pick(NUMBERS)
      : /SIZE|TASKS|NRANKS|NNODES|NUM_/.test(name) ? `${size}` : `${Math.floor(next() * size)}`
  }
  const pids = [60, 50, 1].filter(() => next() < 0.7)
  const ancestors = pids.map((pid) => ({ pid, start: pid * 10, name: pick(NAMES) }))
  const facts = { pid: 100, procStart: 7, bootId: 'boot', uid: pick([0, 1000]), ancestors }
  const explicit = next() < 0.8 ? {} : {
    rank: pick([0, 1, 2, undefined]), worldSize: pick([1, 2, 4, 1048577, undefined]),
    localRank: pick([0, undefined]),
  }
  return { env, facts, explicit }
}

describe('the rank table of Python is that of TypeScript', () => {
  it('on every recorded environment', () => {
    expect(recorded.length).toBeGreaterThan(10)
    expectSame(recorded.map(({ env, pid, ppid }) => {
      const ancestors = [{ pid: ppid, start: 1, name: 'mpirun' }]
      return { env, facts: { pid, procStart: 7, bootId: 'b', uid: 5, ancestors }, explicit: {} }
    }))
  })

  it('on 4,000 random ones', () => {
    const next = random(5)
    expectSame(Array.from({ length: 4000 }, () => randomCase(next)))
  })
})
