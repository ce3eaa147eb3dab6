/** Room ledger: see ledger.ts (what was admitted, in order) and lockdb.ts (who may). */
export {
  openLedger, type BatchEntry, type Entry, type EntryDraft, type Ledger, type LedgerOptions, type NoteEntry,
} from './ledger.ts'
export { tryLock, type LockDb } from './lockdb.ts'
