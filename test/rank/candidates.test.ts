import { describe, expect, it } from 'vitest'
import { firstHost, headCandidates, parseHost } from '../../lib/rank/index.ts'

const of = (env: Record<string, string>, worldSize: number, localWorldSize: number | null) =>
  headCandidates(env, { worldSize, localWorldSize })

describe('headCandidates', () => {
  it('names nobody where the job is known to be on one node', () => {
    expect(of({ MASTER_ADDR: 'a', SLURM_STEP_NODELIST: 'b' }, 4, 4)).toEqual({})
    expect(of({ MASTER_ADDR: 'a' }, 1, 1)).toEqual({})
    expect(of({ MASTER_ADDR: 'a' }, 1, null)).toEqual({})
  })

  it('names MASTER_ADDR and the first host of the Slurm step where it may span several', () => {
    expect(of({ MASTER_ADDR: 'a', SLURM_STEP_NODELIST: 'n[3-5],x' }, 4, 2))
      .toEqual({ candidates: ['a', 'n3'] })
    expect(of({ MASTER_ADDR: 'n3', SLURM_STEP_NODELIST: 'n[3-5]' }, 4, 2)).toEqual({ candidates: ['n3'] })
    expect(of({ MASTER_ADDR: '10.0.0.7' }, 4, null)).toEqual({ candidates: ['10.0.0.7'] })
    expect(of({}, 4, null)).toEqual({})
  })

  it('takes no loopback name and nothing that is no name', () => {
    for (const name of ['127.0.0.1', '127.0.1.1', 'localhost', '::1', '0.0.0.0', '', '-x', 'a b', 'a\nb']) {
      expect(of({ MASTER_ADDR: name }, 4, 2), name).toEqual({})
    }
  })

  it('has RANKZERO_HEAD always, if it is a host', () => {
    expect(of({ RANKZERO_HEAD: ' a:1 ' }, 1, 1)).toEqual({ head: 'a:1' })
    expect(of({ RANKZERO_HEAD: 'a:0' }, 1, 1)).toEqual({})
    expect(of({ RANKZERO_HEAD: 'a b' }, 1, 1)).toEqual({})
  })
})

describe('firstHost', () => {
  it.each([
    ['a', 'a'], ['a,b', 'a'], ['n[1-2]', 'n1'], ['n[03-05,7],login', 'n03'], ['r[0-1]n[2-3]', 'r0n2'],
    ['n[7]', 'n7'], ['n[1,3]-ib,b', 'n1-ib'], ['', ''], ['n[', 'n'],
  ])('of %s is %s', (list, host) => expect(firstHost(list)).toBe(host))
})

describe('parseHost', () => {
  it.each([
    ['a', 'a', null], ['a.b:29500', 'a.b', 29500], ['10.0.0.1:5', '10.0.0.1', 5],
    ['fd00::1', 'fd00::1', null], ['[fd00::1]:5', 'fd00::1', 5], ['[fd00::1]', 'fd00::1', null],
  ])('reads %s', (text, host, port) => expect(parseHost(text)).toEqual({ host, port }))
  it.each(['', ':5', 'a:', 'a:0', 'a:65536', 'a:b', 'a b', 'a/b', '[x]:1', 'x::y'])('refuses %j', (text) =>
    expect(parseHost(text)).toBeNull())
})
