/**
 * Room backend: where a session shows itself. One port, one file per backend, all of the same shape.
 *
 * In: the endpoint and the picture of one session. Out: what the tracker behind the backend keeps.
 * Invariants: a backend never delays training nor another backend; what it does not take stays in the ledger.
 * It does not merge and keeps no books: the ledger does.
 */
import type { Endpoint, RunStatus } from '../record/run-status.ts'

export interface Backend {
  readonly name: string
  /** Opens the session, or opens it again after a restart of the aggregator. */
  open(endpoint: Endpoint): void
  /**
   * What people see from now on; the last call has state `ended`. False: not taken, the caller tries again.
   */
  status(picture: RunStatus): boolean
}
