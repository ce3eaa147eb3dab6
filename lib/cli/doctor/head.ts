/** Where the head of this job may be, who answers there, and how far its clock is from ours. */
import { hostname } from 'node:os'
import { probe, probeHeads, type Probed } from '../../agent/probe.ts'
import { messageOf } from '../../errors.ts'
import { CLOCK_OFFSET_MS_MAX } from '../../limits-console.ts'
import { meetingSecretPath, readMeeting, readShared } from '../../lock/meeting.ts'
import type { HeadCandidates } from '../../rank/index.ts'
import { readKeys } from '../../transport/index.ts'
import type { Finding } from '../../backend/index.ts'

export interface HeadFacts {
  /** RANKZERO_HEAD. */
  explicit: string | null
  candidates: string[]
  /** Everybody who was asked, by the name that led there: a host's, or that of a file. */
  asked: Probed[]
}

export interface HeadOptions {
  meeting: string
  dir: string
  lockDir: string
  /** Setting. */
  secretFile: string | null
}

/** A job that is on one node, and of which no file tells, has nobody to ask. */
export async function findHead(named: HeadCandidates, options: HeadOptions): Promise<HeadFacts> {
  const { head, candidates = [] } = named
  const { meeting, secretFile } = options
  const names = [...head === undefined ? [] : [head], ...candidates]
  const [files, hosts] = await Promise.all([
    Promise.all(placesInFiles(options).map((place) => askPlace(place, meeting))),
    probeHeads({ names, meeting, secretFile }),
  ])
  return { explicit: head ?? null, candidates, asked: [...files, ...hosts] }
}

interface Place { name: string; host: string; port: number; secretFile: string }

function placesInFiles({ meeting, dir, lockDir, secretFile }: HeadOptions): Place[] {
  const found = readMeeting(lockDir, meeting)
  if (found?.hostname === hostname()) {
    const { host, port } = found
    return [{ name: 'meeting file', host, port, secretFile: meetingSecretPath(lockDir, meeting) }]
  }
  const shared = readShared(dir, meeting)
  const files = [['endpoint file', shared], ['meeting file', found]] as const
  return files.flatMap(([name, endpoint]) => (endpoint?.wide?.addresses ?? []).map((host) => ({
    name, host, port: endpoint!.wide!.port, secretFile: secretFile ?? endpoint!.wide!.secretFile,
  })))
}

async function askPlace({ name, host, port, secretFile }: Place, meeting: string): Promise<Probed> {
  try {
    return await probe(name, host, port, meeting, readKeys(secretFile))
  } catch (error) {
    const why = messageOf(error)
    return { name, address: host, port: 0, answer: 'nothing', head: null, offsetMs: null, why }
  }
}

export function headFindings({ explicit, candidates, asked }: HeadFacts, hasSecret: boolean): Finding[] {
  const found: Finding[] = []
  const several = explicit !== null || candidates.length > 0
  const there = asked.some(({ offsetMs }) => offsetMs !== null)
  if (several && !there && !hasSecret) {
    const what = 'the job may span several nodes, and no head is known: without a run secret none is asked'
    const remedy = 'give all nodes the same --dir, or each a copy of one file in RANKZERO_SECRET_FILE'
    found.push({ level: 'warning', what, remedy })
  } else if (several && !there) {
    const why = asked.map(({ name, why, answer }) => `${name}: ${why === '' ? answer : why}`).join('; ')
    const remedy = 'while the job runs, one must: see that names resolve and ports are open'
    found.push({ level: 'info', what: `no head answers now (${why})`, remedy })
  }
  const skewed = asked.find(({ offsetMs }) => Math.abs(offsetMs ?? 0) > CLOCK_OFFSET_MS_MAX)
  if (skewed !== undefined) {
    const what = `the clock of the head is ${Math.round(skewed.offsetMs!)} ms from ours`
    found.push({ level: 'warning', what, remedy: 'keep clocks with ntp or chrony; times of points differ' })
  }
  return found
}
