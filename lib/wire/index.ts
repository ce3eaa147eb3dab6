/**
 * Room wire: what agent and aggregator say to each other, as bytes (PROTOCOL.md). Pure: no I/O, no clock.
 *
 * In: records, bodies, bytes. Out: frames, batches. A batch is encoded once, by the agent, and stored as it
 * is in spool and ledger. It does not decide what to send, resend or admit (agent/core-uplink.ts,
 * aggregator/core-admit.ts).
 */
export {
  decodeFrame, encodeFrame, FRAME_TYPES, PROTOCOL_VERSION, type Bodies, type Frame, type FrameType,
} from './frames.ts'
export type {
  Ack, BeatDown, BeatUp, End, Hello, HelloInstance, Layout, Redirect, Refuse, Skip, Welcome, WelcomeInstance,
} from './bodies.ts'
export { layoutsSchema, originSchema, schemas } from './bodies.ts'
export { BatchBuilder } from './batch-build.ts'
export {
  decodeBatch, peekBatch, type Batch, type BatchHead, type BatchPayload, type Group,
} from './batch-decode.ts'
