/** Who a process here would be: which source decided, and which disagree. */
import { isAlone, NODE_LEVEL, type Identity, type Meeting } from '../../rank/index.ts'
import type { Finding } from '../../backend/index.ts'

export function identityFindings(
  identity: Identity, env: NodeJS.ProcessEnv, meeting: Meeting, above: { name: string; pid: number } | null,
): Finding[] {
  const { rank, worldSize, source } = identity
  const explicit = 'if that is wrong, pass rank and worldSize to init()'
  const found: Finding[] = identity.conflicts.map((other) => ({
    level: 'warning', remedy: `${source} decides; ${explicit}`,
    what: `${other.source} (${other.variables.join(', ')}) says rank ${other.rank} of ${other.worldSize}, `
      + `${source} says rank ${rank} of ${worldSize}`,
  }))
  for (const other of identity.rejected) {
    found.push({ level: 'info', what: `${other.source} does not count: ${other.why}`, remedy: explicit })
  }
  const nodeLevel = NODE_LEVEL.filter((name) => env[name] !== undefined)
  if (nodeLevel.length > 0 && source === 'single') {
    const what = `${nodeLevel.join(', ')} number nodes or pods, never processes`
    const remedy = 'a launcher below them, such as torchrun or --nproc, gives the ranks'
    found.push({ level: 'info', what, remedy })
  }
  if (above !== null && source === 'single') {
    const what = `${above.name} (pid ${above.pid}) is above this process, but gave it no rank`
    const remedy = 'ask inside of what it launches: put "rankzero doctor" in the place of your program'
    found.push({ level: 'info', what, remedy })
  }
  if (isAlone(meeting, identity)) {
    found.push({
      level: 'warning',
      what: `rank ${rank} of ${worldSize}, but nothing ties the ranks together: each is a run of its own`,
      remedy: 'put "rankzero run --" before the command that starts them, or set MASTER_ADDR and MASTER_PORT',
    })
  }
  return found
}
