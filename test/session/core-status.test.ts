import { describe, expect, it } from 'vitest'
import { finalStatus, type MemberEnd, type Seen } from '../../lib/session/core-status.ts'
import type { Departure } from '../../lib/record/index.ts'

const member = (rank: number, more: Partial<MemberEnd> = {}): MemberEnd => ({
  rank,
  attempt: 1,
  instance: `i${rank}`,
  host: 'h',
  pid: 100 + rank,
  state: 'ended',
  endRecord: { exit: 0, logged: 10, refused: 0 },
  departure: null,
  endedAt: 1000 + rank,
  lastStep: 9,
  lastTime: 900,
  ...more,
})
const gone = (departure: Partial<Departure>): Partial<MemberEnd> => ({
  endRecord: null,
  departure: { exit: null, signal: null, cause: 'pidfd', ...departure },
})
const workerExit = (rank: number, more: object): Seen => ({
  host: 'h',
  at: 1500,
  event: { type: 'worker-exit', rank, pid: 100 + rank, exit: 0, signal: null, stopped: false, ...more },
})
const commandExit = (exit: number): Seen => ({
  host: 'h',
  at: 2000,
  event: { type: 'command-exit', exit, signal: null },
})
const status = (members: MemberEnd[], seen: Seen[] = [], worldSize = 2): ReturnType<typeof finalStatus> =>
  finalStatus({ worldSize, members, seen })

describe('final status', () => {
  it('is finished when every rank ended with 0', () => {
    expect(status([member(0), member(1)])).toEqual({ status: 'finished', failed: [] })
  })

  it('is failed and names the rank, host, pid, signal and last step of a killed worker', () => {
    const { status: s, failed } = status([member(0), member(1, gone({ signal: 'SIGKILL' }))])
    expect(s).toBe('failed')
    expect(failed).toMatchObject([
      { rank: 1, host: 'h', pid: 101, exit: null, signal: 'SIGKILL', lastStep: 9, recovered: false },
    ])
  })

  it('takes the exit status from the parent when end() was called long before the exit', () => {
    const early = member(1, { endRecord: { exit: null, logged: 1, refused: 0 } })
    expect(status([member(0), early], [workerExit(1, { exit: 3 })])).toMatchObject({
      status: 'failed',
      failed: [{ exit: 3, cause: 'parent' }],
    })
  })

  it('does not count a worker that we stopped after another one failed', () => {
    const members = [member(0, gone({ signal: 'SIGTERM' })), member(1, gone({ signal: 'SIGKILL' }))]
    const seen = [
      workerExit(0, { exit: null, signal: 'SIGTERM', stopped: true }),
      workerExit(1, { exit: null, signal: 'SIGKILL' }),
    ]
    expect(status(members, seen).failed.map((f) => f.rank)).toEqual([1])
  })

  it('is killed when a signal came to the supervisor', () => {
    const seen: Seen[] = [{ host: 'h', at: 1, event: { type: 'signal', signal: 'SIGTERM' } }]
    expect(status([member(0, gone({ signal: 'SIGTERM' }))], seen, 1).status).toBe('killed')
  })

  it('is killed when every rank was told to go, past the supervisor (scancel), but not when one was', () => {
    const told = [0, 1].map((rank) => member(rank, gone({ signal: 'SIGTERM' })))
    expect(status(told, [commandExit(143)]).status).toBe('killed')
    expect(status(told.slice(0, 1), [commandExit(143)]).status).toBe('failed')
    const died = member(1, gone({ signal: 'SIGKILL' }))
    expect(status([told[0]!, died], [commandExit(143)]).status).toBe('failed')
  })

  it('is failed when a launcher stopped all others after a failure, and their supervisors with them', () => {
    const members = [member(0, gone({ signal: 'SIGTERM' })), member(1, gone({ signal: 'SIGKILL' }))]
    const signal: Seen = { host: 'h', at: 1700, event: { type: 'signal', signal: 'SIGTERM' } }
    const died = workerExit(1, { exit: null, signal: 'SIGKILL' })
    const stopped = { ...workerExit(0, { exit: null, signal: 'SIGTERM' }), at: 1710 }
    const ended = status(members, [died, signal, stopped])
    expect(ended).toMatchObject({ status: 'failed', failed: [{ rank: 1 }, { rank: 0 }] })
    expect(status(members, [{ ...died, at: 1800 }, signal, stopped]).status).toBe('killed')
  })

  it('is killed by Ctrl-C, also when its supervisor saw the ranks go before it heard of it itself', () => {
    const interrupt: Seen = { host: 'h', at: 1700, event: { type: 'signal', signal: 'SIGINT' } }
    const members = [0, 1].map((rank) => member(rank, gone({ signal: 'SIGINT' })))
    const exits = [0, 1].map((rank) => ({ ...workerExit(rank, { exit: null, signal: 'SIGINT' }), at: 1600 }))
    expect(status(members, [...exits, interrupt, commandExit(130)]).status).toBe('killed')
    const broke = { ...workerExit(1, { exit: 1 }), at: 1600 }
    const one = [members[0]!, member(1, gone({ exit: 1 }))]
    expect(status(one, [exits[0]!, broke, interrupt]).status).toBe('failed')
  })

  it('is finished after a restart that went well, with the failure listed as recovered', () => {
    const members = [
      member(0, gone({ signal: 'SIGKILL' })),
      member(0, { attempt: 2, pid: 200, instance: 'i0b' }),
    ]
    const result = status(members, [], 1)
    expect(result.status).toBe('finished')
    expect(result.failed).toMatchObject([{ recovered: true }])
  })

  it('is partial when a rank never joined, or left without a trace', () => {
    expect(status([member(0)]).status).toBe('partial')
    expect(status([member(0), member(1, gone({ cause: 'unknown' }))]).status).toBe('partial')
  })

  it('is lost when nothing is known of any end', () => {
    expect(status([member(0, { state: 'live', endRecord: null })], [], 1).status).toBe('lost')
    expect(status([], []).status).toBe('lost')
  })

  it('is failed when the command failed before any rank could log, finished when nobody meant to', () => {
    expect(status([], [commandExit(1)], 0).status).toBe('failed')
    expect(status([], [commandExit(0)], 0).status).toBe('finished')
  })

  it('lists a rank that vanished before anybody saw how, when the command failed', () => {
    const members = [member(0), member(1, gone({ cause: 'unknown' }))]
    expect(status(members, [commandExit(9)])).toMatchObject({
      status: 'failed', failed: [{ rank: 1, exit: null, signal: null, cause: 'unknown', lastStep: 9 }],
    })
    expect(status(members, [commandExit(0)])).toEqual({ status: 'partial', failed: [] })
    const signal: Seen = { host: 'h', at: 1900, event: { type: 'signal', signal: 'SIGTERM' } }
    expect(status(members, [signal, commandExit(143)])).toEqual({ status: 'killed', failed: [] })
  })

  it('lists a worker that died before it could log', () => {
    const { failed } = status([member(0)], [workerExit(1, { exit: 1 }), commandExit(1)])
    expect(failed).toMatchObject([{ rank: 1, exit: 1, cause: 'parent', lastStep: null }])
  })

  it('puts who was stopped after the first of a round of deaths, and takes the last sign of life', () => {
    const members = [
      member(0, { ...gone({ signal: 'SIGTERM' }), endedAt: 1000, lastTime: 880 }),
      member(1, { ...gone({ signal: 'SIGKILL' }), endedAt: 1240, lastTime: 900 }),
      member(2, { ...gone({ exit: 1 }), endedAt: 1000, lastTime: 905 }),
      member(3, { ...gone({ exit: 1 }), endedAt: 9000, lastTime: 10 }),
    ]
    expect(status(members, [], 4).failed.map((f) => f.rank)).toEqual([1, 2, 0, 3])
  })

  it('knows the exit of a script around the trainer as that of its rank, once', () => {
    const wrapped = (more: Partial<MemberEnd>): MemberEnd =>
      member(1, { ...gone({ cause: 'unknown' }), ...more })
    const seen = [workerExit(1, { pid: 55, exit: 7 })]
    expect(status([member(0), wrapped({})], seen).failed).toMatchObject([{ rank: 1, pid: 101, exit: 7 }])
    // What the kernel said of the trainer itself comes before it.
    const killed = wrapped(gone({ signal: 'SIGKILL' }))
    expect(status([member(0), killed], seen).failed).toMatchObject([{ pid: 101, signal: 'SIGKILL' }])
  })

  it('recovers from the loss of ranks when the world shrank and the rest ended well', () => {
    const members = [
      member(0, gone({ signal: 'SIGTERM' })), member(1, gone({ signal: 'SIGKILL' })),
      member(0, { attempt: 2, pid: 200, instance: 'i0b' }),
    ]
    expect(status(members, [], 1)).toMatchObject({
      status: 'finished', failed: [{ rank: 1, recovered: true }, { rank: 0, recovered: true }],
    })
  })

  it('has the exception and the place of the log that the agent found', () => {
    const error = { type: 'ValueError', message: 'bad' }
    const left = gone({ exit: 1, error, log: '/logs/0' })
    expect(status([member(0), member(1, left)]).failed).toMatchObject([{ exit: 1, error, log: '/logs/0' }])
    const quiet = gone({ cause: 'error-file', error })
    expect(status([member(0), member(1, quiet)])).toMatchObject({ status: 'failed', failed: [{ error }] })
  })

  it('is of the last life of a resumed run, whatever came to the one before', () => {
    const seen: Seen[] = [
      { host: 'h', at: 1, event: { type: 'started', command: 'x', nproc: null } },
      { host: 'h', at: 2, event: { type: 'signal', signal: 'SIGTERM' } }, { ...commandExit(1), at: 3 },
      { host: 'h', at: 4, event: { type: 'started', command: 'x', nproc: null } }, commandExit(0),
    ]
    expect(status([member(0), member(1)], seen).status).toBe('finished')
    expect(status([member(0), member(1)], seen.slice(0, 3)).status).toBe('killed')
  })

  it('orders failures by time', () => {
    const members = [
      member(0, { ...gone({ exit: 1 }), endedAt: 5 }),
      member(1, { ...gone({ exit: 2 }), endedAt: 3 }),
    ]
    expect(status(members).failed.map((f) => f.rank)).toEqual([1, 0])
  })
})
