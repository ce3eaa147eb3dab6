/**
 * Room lock: who may be the agent, who the aggregator, and who holds an experiment key.
 *
 * In: names and the lock directory (`RANKZERO_LOCK_DIR`). Out: elections, meeting files, key locks.
 * Invariants: a lock is a kernel lock inside a SQLite file (ledger/lockdb.ts), freed with its process; the
 * file beside it only tells people and candidates who holds it, and is never trusted as the lock. A key's
 * term never falls.
 * It does not span hosts that do not share the lock directory (etcd does, in a later room).
 */
export { elect, headLockName, isElected, type Election } from './election.ts'
export { acquireKey, type Holder, type KeyHold, type KeyRequest } from './key.ts'
export {
  fencePath, meetingPath, meetingSecretPath, readBegun, readJson, readMeeting, readShared, removeMeeting,
  removeShared, sharedPath, writeBegun, writeJson, writeMeeting, writeShared, type Begun,
} from './meeting.ts'
