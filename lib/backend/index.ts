/**
 * Room backend: where a session shows itself. One port (port.ts), one file per backend, all of one shape.
 *
 * In: the picture of one session, its rows in batches. Out: what the tracker behind the backend keeps.
 * Invariants: a backend never delays training nor another backend; what it does not take stays in the ledger.
 * It does not merge, does not decide when to send or to try again (session/core-outbox.ts), and keeps no
 * books: the ledger does.
 */
export type { Backend, Capabilities, Cursor, Outcome, RowWriter, StreamRow } from './port.ts'
