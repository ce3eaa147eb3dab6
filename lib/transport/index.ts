/**
 * Room transport: frames between agents and the aggregator; the only room that knows zeromq.
 *
 * In: whole frames as bytes, one host and port. Out: whole frames, and the news that a connection is gone.
 * Invariants: linger 0 and `blocky` false, so no process waits for a peer at exit; one writer loop with a
 * bounded queue per socket; every send that a socket refuses is reported or counted; every connection is
 * CURVE, on loopback too, with keys that follow from a secret file: whoever cannot prove that secret gets no
 * frame in and none out.
 * It does not retry, acknowledge or order anything: a frame may be lost with its connection (agent/core-
 * uplink.ts).
 */
export { bindRouter, bindWide, type Router, type RouterOptions } from './router.ts'
export { connectDealer, type Dealer, type DealerOptions } from './dealer.ts'
export { ensureKeys, readKeys } from './secret.ts'
export { keysOf, type RunKeys } from './keys.ts'
