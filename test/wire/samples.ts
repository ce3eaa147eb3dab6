import type { Origin } from '../../lib/record/index.ts'
import { Kind } from '../../lib/record/index.ts'
import type { Bodies, FrameType } from '../../lib/wire/index.ts'
import type { Rec } from './records.ts'

const INSTANCE = '00112233445566778899aabbccddeeff'
const OTHER = 'ffeeddccbbaa99887766554433221100'
const T = 1_790_000_000_000

const origin: Origin = {
  instance: INSTANCE, meeting: 'a5'.repeat(16), run: null, role: 'worker', rank: 3, worldSize: 8,
  localRank: 1, node: 'node-ü', bootId: '5f1c7a52-0d5e-4d2a-9d57-3a0a6e0f6b11', pidns: 4_026_531_836,
  pid: 4711, procStart: 123_456, startedAt: T + 0.5, dir: '/data/rankzero',
  cli: '["/usr/bin/node","/opt/rankzero/dist/cli/main.js"]',
}

interface Sample {
  type: FrameType
  term: number
  body: Bodies[FrameType]
}

/** One or more of every type; the golden vectors are made from these. */
export const frameSamples: Sample[] = [
  {
    type: 'HELLO', term: 0,
    body: {
      agent: '0badcafe', host: 'node-ü', pid: 99, run: 'r-20261123-1', meeting: 'a5'.repeat(16),
      protocol: 1, sentAt: T,
      instances: [{ origin, first: 5, next: 2 ** 53 - 1, logged: 70_000, ledger: 'led' }],
    },
  },
  {
    type: 'WELCOME', term: 2,
    body: {
      run: 'r-20261123-1', ledger: 'led', term: 2, key: null, dir: '/data/rankzero/r-20261123-1',
      sentAt: T, now: T + 3, credit: 8_388_608,
      instances: [
        { instance: INSTANCE, acked: 4, accepted: true },
        { instance: OTHER, acked: 0, accepted: false, why: 'the run is draining' },
      ],
    },
  },
  { type: 'BATCH', term: 4_294_967_295, body: Uint8Array.of(0, 1, 254, 255) },
  {
    type: 'SKIP', term: 2,
    body: { instance: INSTANCE, from: 5, to: 9, points: { loss: 4, 'eval/ä': 1, '': 2 }, cause: 'cap' },
  },
  { type: 'ACK', term: 2, body: { instance: INSTANCE, seq: 2 ** 40 } },
  { type: 'ACK', term: 2, body: { instance: INSTANCE, seq: 12, ended: true } },
  {
    type: 'BEAT', term: 2,
    body: { sentAt: T, instances: [{ instance: INSTANCE, alive: true, logged: 10, lost: 0, backlog: 300 }] },
  },
  { type: 'BEAT', term: 2, body: { sentAt: T, now: T + 0.25, state: 'live' } },
  {
    type: 'END', term: 2,
    body: {
      instance: INSTANCE, seq: 12, logged: 10, lost: 1, refused: 0, at: T + 9,
      departure: { exit: null, signal: 'SIGKILL', cause: 'pidfd' },
    },
  },
  {
    type: 'END', term: 2,
    body: {
      instance: INSTANCE, seq: 12, logged: 10, lost: 1, refused: 2, at: T + 9,
      departure: { exit: 1, signal: null, cause: 'end-record', error: { type: 'ValueError', message: 'no' } },
    },
  },
  { type: 'REFUSE', term: 2, body: { code: 'PROTOCOL', message: 'peer speaks 2', remedy: 'install it' } },
  { type: 'REDIRECT', term: 0, body: { host: '10.0.0.7', port: 40_123 } },
  {
    type: 'REDIRECT', term: 3,
    body: { host: '10.0.0.7', port: 40_123, hosts: ['10.0.0.7', 'fd00::7'], meeting: 'a5'.repeat(16) },
  },
  {
    type: 'HELLO', term: 0,
    body: {
      agent: '0badcafe', host: 'node-ü', pid: 99, run: null, meeting: 'a5'.repeat(16), protocol: 1, sentAt: T,
      offset: -12.5, instances: [],
    },
  },
  { type: 'BEAT', term: 2, body: { sentAt: T, agent: '0badcafe', offset: -12.5, denied: 3, instances: [] } },
  {
    type: 'HELLO', term: 0,
    body: {
      agent: '0badcafe', host: 'node', pid: 99, run: null, meeting: 'a5'.repeat(16), protocol: 1, sentAt: T,
      offset: -12.5, blur: 0.75, instances: [],
    },
  },
]

const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const row = (
  seq: number, layout: number, step: number, weight: number, time: number, ...values: number[]
): Rec => ({ seq, layout, step, weight, time, values })

export const batchSamples: { name: string; records: Rec[] }[] = [
  { name: 'one point', records: [row(1, 1, 0, NaN, T, 0.5)] },
  {
    name: 'two metrics over ten steps: step runs, time deltas, a constant and a float32 column',
    records: Array.from({ length: 10 }, (_, i) =>
      row(101 + i, 1, 10 * i, NaN, T + 7 * i + i % 3, 2, (i + 1) / 8)),
  },
  {
    name: 'doubles that float32 cannot hold, and all special values',
    records: [
      row(1, 4, 0, NaN, T, 0.1, NaN, -0, 2 ** 53), row(2, 4, 1, NaN, T, 0.2, Infinity, 0, -(2 ** 53)),
      row(3, 4, 2, NaN, T, 5e-324, -Infinity, -0, 1),
    ],
  },
  {
    name: 'weights: none, constant, mixed',
    records: [
      row(1, 1, 0, NaN, T, 1), row(2, 2, 0, 32, T, 1), row(3, 3, 0, 32, T, 1), row(4, 1, 1, NaN, T, 2),
      row(5, 2, 1, 32, T, 2), row(6, 3, 1, NaN, T, 2), row(7, 3, 2, 0.1, T, 3),
    ],
  },
  {
    name: 'payloads between values, time of a fraction, the largest step',
    records: [
      { seq: 2 ** 40, kind: Kind.open, time: T, body: text({ source: 'torchrun' }) },
      { seq: 2 ** 40 + 1, kind: Kind.layout, time: T, body: text({ id: 1, names: ['loss', 'eval/ä'] }) },
      row(2 ** 40 + 2, 1, 2 ** 53 - 1, NaN, T + 0.5, 1.5, 2.5), row(2 ** 40 + 3, 1, 0, NaN, T - 5, 1.25, 2.5),
      { seq: 2 ** 40 + 4, kind: Kind.text, time: T + 0.25, body: text({ line: 'hi' }) },
    ],
  },
  { name: 'a record without values', records: [row(9, 0, 3, NaN, T)] },
]
