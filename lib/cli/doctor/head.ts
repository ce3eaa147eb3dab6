/** Where the head of this job may be, who answers there, and how far its clock is from ours. */
import { randomBytes } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { hostname } from 'node:os'
import { askHello } from '../../agent/ask.ts'
import { signpostPorts } from '../../agent/core-signpost.ts'
import { wallMs } from '../../clock.ts'
import { messageOf } from '../../errors.ts'
import { CLOCK_OFFSET_MS_MAX, SIGNPOSTS_ASKED_MAX } from '../../limits.ts'
import { readMeeting, readShared } from '../../lock/meeting.ts'
import { parseHost, type HeadCandidates } from '../../rank/index.ts'
import { readKeys, type RunKeys } from '../../transport/index.ts'
import type { Finding } from './findings.ts'

/** One address that was asked, or a name that could not be. */
export interface Asked {
  /** What named it: a file, RANKZERO_HEAD, a candidate, or a signpost that led there. */
  from: string
  host: string
  port: number | null
  answer: 'head' | 'signpost' | 'refused' | 'silent' | 'not asked'
  why?: string
  /** Run that the head there serves. */
  run?: string
  /** Round trip, connection included. */
  ms?: number
  /** The head's clock less ours. */
  offsetMs?: number
}

export interface HeadFacts {
  /** RANKZERO_HEAD. */
  explicit: string | null
  candidates: string[]
  asked: Asked[]
}

export interface HeadOptions {
  meeting: string
  dir: string
  lockDir: string
  /** Setting. */
  secretFile: string | null
}

interface Place { from: string; host: string; port: number; secretFile: string | null }

/** A job that is on one node, and of which no file tells, has nobody to ask. */
export async function findHead(named: HeadCandidates, options: HeadOptions): Promise<HeadFacts> {
  const { head, candidates = [] } = named
  const { meeting, dir, lockDir, secretFile } = options
  const found = readMeeting(lockDir, meeting)
  const shared = readShared(dir, meeting)
  const places: Place[] = []
  if (found?.hostname === hostname()) {
    places.push({ from: 'meeting file', host: found.host, port: found.port, secretFile: null })
  }
  for (const [from, endpoint] of [['endpoint file', shared], ['meeting file', found]] as const) {
    if (!endpoint?.wide || endpoint.hostname === hostname()) continue
    const { addresses, port, secretFile: theirs } = endpoint.wide
    for (const host of addresses) places.push({ from, host, port, secretFile: secretFile ?? theirs })
  }
  const behind = await Promise.all([
    ...(head === undefined ? [] : [namedPlaces('RANKZERO_HEAD', head, options)]),
    ...candidates.map((name) => namedPlaces(`candidate ${name}`, name, options)),
  ])
  const asked = await Promise.all([
    ...places.map((place) => ask(place, meeting)),
    ...behind.flat().map((one) => 'answer' in one ? [one] : askSignpost(one, meeting)),
  ])
  return { explicit: head ?? null, candidates, asked: asked.flat() }
}

/** The addresses behind a name, with the port that it says or those that a signpost of this job may have. */
async function namedPlaces(from: string, name: string, options: HeadOptions): Promise<(Place | Asked)[]> {
  const { host, port } = parseHost(name) ?? { host: name, port: null }
  const { secretFile } = options
  const none = (why: string): Asked[] => [{ from, host, port, answer: 'not asked', why }]
  try {
    const addresses = await lookup(host, { all: true })
    if (secretFile === null) return none('without a run secret (RANKZERO_SECRET_FILE) nobody is asked')
    const ports = port === null ? signpostPorts(options.meeting) : [port]
    return addresses.slice(0, SIGNPOSTS_ASKED_MAX)
      .flatMap(({ address }) => ports.map((one) => ({ from, host: address, port: one, secretFile })))
  } catch (error) {
    return none(`no such host: ${messageOf(error)}`)
  }
}

async function askSignpost(place: Place, meeting: string): Promise<Asked[]> {
  const first = await ask(place, meeting)
  const led = await Promise.all(first.led.map((host) =>
    ask({ ...place, ...host, from: `signpost at ${place.host}` }, meeting)))
  return [first, ...led].map(({ led: _, ...one }) => one)
}

/** `led`: where a signpost sends us. */
type Answered = Asked & { led: { host: string; port: number }[] }

async function ask(place: Place, meeting: string): Promise<Answered> {
  const { from, host, port, secretFile } = place
  const base = { from, host, port, led: [] }
  let keys: RunKeys | null
  try {
    keys = secretFile === null ? null : readKeys(secretFile)
  } catch (error) {
    return { ...base, answer: 'not asked', why: messageOf(error) }
  }
  const told = await askHello({ host, port, keys }, randomBytes(16).toString('hex'), meeting)
  const at = wallMs()
  const ms = Math.round(told.ms)
  if (told.type === 'WELCOME') {
    const { run, now, sentAt } = told.body
    return { ...base, answer: 'head', run, ms, offsetMs: Math.round(now - (sentAt + at) / 2) }
  }
  if (told.type === 'REDIRECT') {
    const { host: one, hosts = [one], port: next } = told.body
    return { ...base, answer: 'signpost', ms, led: hosts.map((to) => ({ host: to, port: next })) }
  }
  if (told.type === 'REFUSE') {
    // Its signpost is there and knows no head yet.
    const answer = told.body.code === 'NO_HEAD' ? 'signpost' : 'refused'
    return { ...base, answer, why: told.body.message, ms }
  }
  return { ...base, answer: 'silent', why: told.type === 'silent' ? told.why : `it answers ${told.type}` }
}

export function headFindings({ explicit, candidates, asked }: HeadFacts): Finding[] {
  const found: Finding[] = []
  for (const { from, host, why } of asked.filter(({ why }) => why?.startsWith('no such host'))) {
    const remedy = explicit !== null ? 'correct RANKZERO_HEAD'
      : 'set RANKZERO_HEAD to a name that every node knows'
    found.push({ level: 'warning', what: `${from}: ${host}: ${why}`, remedy })
  }
  const several = explicit !== null || candidates.length > 0
  const heads = asked.filter(({ answer }) => answer === 'head')
  if (several && heads.length === 0) {
    const noSecret = asked.some(({ why }) => why?.startsWith('without a run secret') === true)
    found.push({
      level: noSecret ? 'warning' : 'info',
      what: `the job may span several nodes, and no head answers${noSecret ? ': none can be asked' : ' now'}`,
      remedy: noSecret
        ? 'give all nodes the same --dir, or each a copy of one file in RANKZERO_SECRET_FILE'
        : 'it is there while the job runs; on other nodes its ports must not be blocked',
    })
  }
  for (const { host, why } of asked.filter(({ answer }) => answer === 'refused')) {
    const what = `${host} refuses: ${why}`
    found.push({ level: 'warning', what, remedy: 'another job may have this port' })
  }
  const skewed = heads.find((one) => Math.abs(one.offsetMs ?? 0) > CLOCK_OFFSET_MS_MAX)
  if (skewed !== undefined) {
    const what = `the clock of the head (${skewed.host}) is ${skewed.offsetMs} ms from ours`
    found.push({ level: 'warning', what, remedy: 'keep clocks with ntp or chrony; times of points differ' })
  }
  return found
}
