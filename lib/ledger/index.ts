/** Room ledger: see ledger.ts (what was admitted, in order), lockdb.ts (who may), durable.ts (names). */
export {
  openLedger, type BatchEntry, type DamagedBody, type Entry, type EntryDraft, type Ledger,
  type LedgerOptions, type NoteEntry,
} from './ledger.ts'
export { tryLock, type LockDb } from './lockdb.ts'
export { isDamaged } from './sqlite.ts'
