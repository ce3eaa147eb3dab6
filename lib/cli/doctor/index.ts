/** What `doctor` finds out, by subject. What it makes to find out, it removes again. */
import { hostname } from 'node:os'
import { checkBackends, type BackendCheck } from '../../backend/index.ts'
import { findSetting } from '../../config/settings.ts'
import { shmDir } from '../../journal/index.ts'
import { readFacts } from '../../logger/facts.ts'
import { native } from '../../native.ts'
import { ownVersion } from '../../package.ts'
import {
  headCandidates, identify, meetingId, type Claim, type HeadCandidates, type Identity,
} from '../../rank/index.ts'
import { commandSources, configProblems } from '../sources.ts'
import type { Finding } from '../../backend/index.ts'
import type { HeadFacts } from './head.ts'
import { identityFindings } from './identity.ts'
import { libraryFindings, limitFindings, machineFindings, readLimits, type Limits } from './machine.ts'
import { look, placeFindings, waitingFindings, type Place } from './places.ts'
import {
  findLaunchers, findPython, launchedBy, launcherFindings, pythonFindings, type Program, type Python,
} from './programs.ts'

/** `doctor --json` (DESIGN 13). */
export interface Diagnosis {
  rank: number
  worldSize: number
  localRank: number
  localWorldSize: number | null
  nodeRank: number | null
  node: string
  source: string
  variables: Record<string, string>
  conflicts: Claim[]
  rejected: Identity['rejected']
  meeting: string
  meetingFrom: string
  /** The launcher above this process. */
  launchedBy: { name: string; pid: number } | null
  /** Those on PATH. */
  launchers: Program[]
  python: Python | null
  head: HeadFacts
  native: 'addon' | 'twin'
  places: Place[]
  limits: Limits
  versions: { rankzero: string; node: string }
  /** Of those that were asked for. */
  backends: BackendCheck[]
  findings: Finding[]
}

/** It shows no variables but those of the rank. */
export async function diagnose(
  dir: string, env: NodeJS.ProcessEnv, names: readonly string[] = [],
): Promise<Diagnosis> {
  const facts = readFacts()
  const identity = identify(env, facts)
  const meeting = meetingId(env, facts, identity)
  const places = [
    look('journals', shmDir(env)), look('runs', dir),
    look('locks', findSetting('lockDir', commandSources()).value),
  ]
  const limits = readLimits()
  const above = launchedBy(facts)
  const named = headCandidates(env, identity)
  const libraries = await libraryFindings(places[2]!.path)
  const [launchers, python, head, backends] = await Promise.all([
    findLaunchers(env), findPython(env), askForHead(named, { meeting: meeting.meeting, dir }),
    checkBackends(names, commandSources()),
  ])
  const { rank, worldSize, localRank, localWorldSize, nodeRank, source, conflicts, rejected } = identity
  const findings: Finding[] = [
    ...configProblems().map(({ message: what, remedy }) => ({ level: 'error' as const, what, remedy })),
    ...identityFindings(identity, env, meeting, above),
    ...placeFindings(places, localWorldSize ?? worldSize),
    ...machineFindings(env), ...libraries,
    ...limitFindings(limits, named.head !== undefined || named.candidates !== undefined),
    ...head.findings, ...backends.flatMap(({ findings }) => findings),
    ...launcherFindings(launchers),
    ...pythonFindings(python, findSetting('pythonPath', commandSources()).value),
    ...waitingFindings(dir, env),
  ]
  const order = ['error', 'warning', 'info']
  return {
    rank, worldSize, localRank, localWorldSize, nodeRank, node: hostname(), source,
    variables: Object.fromEntries(identity.variables.map((name) => [name, env[name] ?? ''])),
    conflicts, rejected, meeting: meeting.meeting, meetingFrom: meeting.from,
    launchedBy: above, launchers, python, head: head.facts, native: native.kind, places, limits,
    versions: { rankzero: ownVersion(), node: process.versions.node }, backends,
    findings: findings.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level)),
  }
}

/** Loaded here, as zeromq may not load, which is a finding of its own. */
async function askForHead(
  named: HeadCandidates, { meeting, dir }: { meeting: string; dir: string },
): Promise<{ facts: HeadFacts; findings: Finding[] }> {
  const lockDir = findSetting('lockDir', commandSources()).value
  const secretFile = findSetting('secretFile', commandSources()).value
  const { head: explicit = null, candidates = [] } = named
  try {
    const { findHead, headFindings } = await import('./head.ts')
    const facts = await findHead(named, { meeting, dir, lockDir, secretFile })
    return { facts, findings: headFindings(facts, secretFile !== null) }
  } catch {
    return { facts: { explicit, candidates, asked: [] }, findings: [] }
  }
}
