/**
 * Room backend: where a session's rows go. One port, one file per backend, all of the same shape.
 *
 * In: sealed rows, params, text and the final status of one session. Out: calls to the tracker behind the backend.
 * Invariants: a backend never delays training nor another backend; what it did not take stays in the ledger.
 * It does not merge, retry across restarts or keep books: the outbox in the ledger does.
 */
export interface Backend {
  readonly name: string
  /** Opens or re-opens the experiment; called again by every new holder of the session. */
  open(session: { run: string; project: string; key: string; name: string }): Promise<void>
  end(status: string): Promise<void>
}
