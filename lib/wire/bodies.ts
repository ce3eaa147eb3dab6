/** The bodies of the control frames: one zod schema each, and the types that follow from them. */
import { z } from 'zod'
import { WORLD_SIZE_MAX } from '../limits.ts'
import type { Origin } from '../record/index.ts'

const seq = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const whole = seq
const ms = z.number()
const id = z.string().regex(/^[0-9a-f]{32}$/, 'is not 32 hex digits')

export const originSchema: z.ZodType<Origin> = z.object({
  instance: id,
  meeting: id,
  run: z.string().nullable(),
  role: z.enum(['worker', 'supervisor', 'agent']),
  rank: z.number().int().min(-1),
  worldSize: whole.max(WORLD_SIZE_MAX),
  localRank: z.number().int().min(-1),
  node: z.string(),
  bootId: z.string(),
  pidns: whole,
  pid: whole,
  procStart: whole,
  startedAt: ms,
  dir: z.string(),
  cli: z.string(),
  localWorldSize: whole.nullable().optional(),
  launch: z.string().optional(),
  errorFile: z.string().optional(),
  guest: z.literal(true).optional(),
  supervisors: whole.optional(),
  head: z.string().optional(),
  candidates: z.array(z.string()).optional(),
})

const departureSchema = z.object({
  exit: z.number().int().nullable(),
  signal: z.string().nullable(),
  cause: z.enum(['end-record', 'parent', 'pidfd', 'error-file', 'node-lost', 'unknown']),
  error: z.object({ type: z.string(), message: z.string() }).optional(),
  log: z.string().optional(),
})

export const layoutsSchema = z.array(z.object({ id: whole, names: z.array(z.string()) }))

const helloInstance = z.object({
  origin: originSchema,
  /** First seq that the agent can still send; 1 unless some ledger acknowledged more. */
  first: seq,
  /** The seq after the last one journalled. */
  next: seq,
  logged: whole,
  /** Ledger that acknowledged the seqs below `first`, null when none did. */
  ledger: z.string().nullable(),
  /** What the agent knows of layouts that were defined below `first`: another ledger has not seen them. */
  layouts: layoutsSchema.optional(),
})

const hello = z.object({
  /** Random id of this agent process, hex. */
  agent: z.string().regex(/^[0-9a-f]{1,64}$/, 'is not hex'),
  host: z.string(),
  pid: whole,
  run: z.string().nullable(),
  meeting: id,
  /** PROTOCOL_VERSION of the sender. */
  protocol: whole,
  sentAt: ms,
  /** Clock of the head less clock of the sender (ms), once known; and how far that may be from the truth. */
  offset: ms.optional(),
  blur: ms.min(0).optional(),
  /** None: the sender asks where the head is, or what its clock says. */
  instances: z.array(helloInstance),
})

const welcomeInstance = z.object({
  instance: id,
  acked: seq,
  accepted: z.boolean(),
  why: z.string().optional(),
})

const welcome = z.object({
  run: z.string(),
  ledger: z.string(),
  term: whole,
  key: z.string().nullable(),
  /** Run directory. */
  dir: z.string(),
  /** Echo of the HELLO. */
  sentAt: ms,
  now: ms,
  /** Of the run, in the head's clock: system metrics count their steps from it. */
  startedAt: ms.optional(),
  /** Bytes that may be in flight unacknowledged. */
  credit: whole,
  instances: z.array(welcomeInstance),
})

const skip = z.object({
  instance: id,
  from: seq,
  to: seq,
  points: z.record(z.string(), whole),
  cause: z.string(),
}).refine((s) => s.from >= 1 && s.from <= s.to, 'from is above to')

const ack = z.object({
  instance: id,
  /** Durable up to here. */
  seq,
  /** The END of the instance is durable too. */
  ended: z.boolean().optional(),
})

const beatUp = z.object({
  sentAt: ms,
  /** As in HELLO, where one of the next two is told. */
  agent: z.string().optional(),
  /** As in HELLO: the best estimate so far. */
  offset: ms.optional(),
  /** Connections to the sender's signpost that did not prove the run secret. */
  denied: whole.optional(),
  instances: z.array(z.object({
    instance: id,
    alive: z.boolean(),
    logged: whole,
    lost: whole,
    backlog: whole,
  })),
})

const beatDown = z.object({ sentAt: ms, now: ms, state: z.string() })

const end = z.object({
  instance: id,
  /** Last seq; everything up to it was sent before. */
  seq,
  logged: whole,
  lost: whole,
  refused: whole,
  departure: departureSchema,
  at: ms,
  /** Of a spool that another node's agent left: the END of that node, should it come, holds instead. */
  estimated: z.boolean().optional(),
})

const refuse = z.object({ code: z.string(), message: z.string(), remedy: z.string() })

/** From a signpost: say HELLO there. To a signpost: the head of this meeting is there. */
const redirect = z.object({
  host: z.string().min(1),
  port: z.number().int().min(1).max(65_535),
  /** All addresses of that host, the one in `host` among them. */
  hosts: z.array(z.string().min(1)).optional(),
  meeting: id.optional(),
})

/** Per frame type; BATCH has none, its body is the blob of batch-build.ts. */
export const schemas = {
  HELLO: hello,
  WELCOME: welcome,
  SKIP: skip,
  ACK: ack,
  BEAT: z.union([beatUp, beatDown]),
  END: end,
  REFUSE: refuse,
  REDIRECT: redirect,
} as const

export type Layout = z.infer<typeof layoutsSchema>[number]
export type HelloInstance = z.infer<typeof helloInstance>
export type Hello = z.infer<typeof hello>
export type WelcomeInstance = z.infer<typeof welcomeInstance>
export type Welcome = z.infer<typeof welcome>
export type Skip = z.infer<typeof skip>
export type Ack = z.infer<typeof ack>
/** Agent to aggregator. */
export type BeatUp = z.infer<typeof beatUp>
/** Aggregator to agent: `sentAt` is an echo. */
export type BeatDown = z.infer<typeof beatDown>
export type End = z.infer<typeof end>
export type Refuse = z.infer<typeof refuse>
export type Redirect = z.infer<typeof redirect>
