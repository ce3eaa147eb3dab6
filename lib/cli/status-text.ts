import { howItFailed } from '../launch/core-outcome.ts'
import { count, plural } from '../launch/progress.ts'
import type {
  BackendStatus, BooksStatus, ClockStatus, Failure, MemberStatus, MetricStatus,
} from '../record/run-status.ts'
import { callFields } from './calls-text.ts'
import { healthFields, paramsText } from './health-text.ts'
import { nodeFields } from './node-text.ts'
import { brief, duration, style, table } from './output.ts'
import type { ShownStatus } from './look.ts'

/** More ranks or metrics than a screen holds are counted, not listed; --json has all of them. */
const LISTED_MAX = 16

const GOOD = new Set(['live', 'ended', 'finished'])
const BAD = new Set(['failed', 'killed', 'lost', 'interrupted', 'refused'])
const paint = (word: string): string =>
  BAD.has(word) ? style('red', word) : GOOD.has(word) ? style('green', word) : word

/** A run on one screen: who it is, how it stands, then what is wrong, then ranks and metrics. */
export function statusText(status: ShownStatus, now: number): string {
  const { books, members, clocks = [], denied = 0 } = status
  const lasted = duration((status.endedAt ?? now) - status.startedAt)
  const time = status.startedAt === 0 ? '' : `, ${status.endedAt === null ? 'for' : 'took'} ${lasted}`
  const live = members.filter((member) => member.state === 'live').length
  const joined = new Set(members.map((member) => member.rank)).size
  const work = workLine(status)
  const named = [status.project, status.name].filter((part) => part !== '' && part !== status.run)
  const title = named.join(' · ')
  const fields: [string, string][] = [
    ['run', `${style('bold', status.run)}${title === '' ? '' : `  ${title}`}`],
    ['state', `${paint(status.state)}${status.status === null ? '' : `, ${paint(status.status)}`}${time}`],
    ['key', status.key],
    ['ranks', `${joined} of ${status.ranks}${live > 0 ? `, ${live} live` : ''}`],
    ['points', pointsLine(books)],
    ...status.backends.flatMap((backend): [string, string][] =>
      [['backend', backendLine(backend)], ...callFields(backend)]),
    ...(work === '' ? [] : [['work', work] satisfies [string, string]]),
    ...(status.state === 'ended' ? [] : nodeFields(status.nodes ?? [])),
    ['directory', clocks.length > 1 ? `${status.host}:${status.dir}` : status.dir],
    ...clocks.length > 1 ? [['clocks', clocksLine(clocks)] satisfies [string, string]] : [],
    ...denied === 0 ? []
      : [['denied', `${plural(denied, 'connection')} without the run secret`] satisfies [string, string]],
    ...status.failed.map((failed): [string, string] =>
      ['failed', `${style('red', howItFailed(failed))}${failed.recovered ? ' (recovered)' : ''}`]),
    ...healthFields(status),
    ...(status.damages ?? []).map((what): [string, string] => ['damaged', style('red', what)]),
    ...[elsewhere(members, status.dir) ?? []].flat().map((text): [string, string] => ['elsewhere', text]),
    ...(status.fault === null ? [] : [['fault', style('red', status.fault)] satisfies [string, string]]),
    ...(status.reason === null ? []
      : [['refused', refusal(status.reason, status.run)] satisfies [string, string]]),
    ...(status.remedy === undefined ? [] : [['to do', status.remedy] satisfies [string, string]]),
  ]
  const head = fields.map(([name, text]) => `${style('dim', name.padEnd(9))}  ${text}\n`).join('')
  return head + section(memberTable(members, status.failed), members.length, 'ranks')
    + section(metricTable(status.metrics), status.metrics.length, 'metrics') + paramsText(status.params)
}

function backendLine(
  { name, state, pending, fault, ageMs, use, archive, missing, assets, ...rare }: BackendStatus,
): string {
  const more = (['rejected', 'thinned', 'resent'] as const).filter((what) => rare[what] !== undefined)
    .map((what) => `, ${count(rare[what]!)} ${what}`).join('')
  const age = ageMs === undefined ? '' : `, the oldest for ${duration(ageMs)}`
  const spent = use === undefined ? ''
    : `, ${count(use.used)} of ${count(use.max)} calls in ${duration(use.windowMs)}`
  const files = (['pending', 'rejected'] as const).filter((what) => (assets?.[what] ?? 0) > 0)
    .map((what) => `, ${plural(assets![what]!, 'asset')} ${what}`).join('')
  const file = archive === undefined ? '' : `; they are in ${archive}`
  const lacks = missing === undefined ? '' : `; ${style('red', missing)}`
  return `${name} ${paint(state)}, ${count(pending)} pending${files}${age}${more}${spent}${file}${lacks}`
    + `${fault === undefined ? '' : `; ${style('red', fault)}`}`
}

/** Where each logged point is; what is unusual is said only when there is any. */
function pointsLine(books: BooksStatus): string {
  const always = ['logged', 'merged', 'lost', 'pending'] as const
  const rare = (['open', 'superseded', 'rejected'] as const).filter((name) => books[name] > 0)
  const line = [...always, ...rare].map((name) => `${count(books[name])} ${name}`).join(', ')
  return books.refused === 0 ? line : `${line}; ${count(books.refused)} values refused`
}

/** What another ledger has of this run; null: nothing. */
export function elsewhere(members: readonly MemberStatus[], dir: string): string | null {
  const there = members.flatMap(({ before }) => before ?? [])
  if (there.length === 0) return null
  const records = there.reduce((sum, one) => sum + one.records, 0)
  const ledgers = [...new Set(there.map(({ ledger }) => ledger.slice(0, 8)))].join(', ')
  return `${plural(records, 'record')} of ${plural(there.length, 'rank')} are in ledger ${ledgers} of `
    + `another head; if its disk turns up: rankzero sync ITS_RUN_DIRECTORY --join ${dir}`
}

/** All nodes, and by how much their clocks differ from the head's. */
const clocksLine = (clocks: readonly ClockStatus[]): string => clocks.map(({ host, offsetMs }) => {
  const away = Math.round(Math.abs(offsetMs ?? 0))
  return away === 0 ? host : `${host} ${away} ms ${offsetMs! > 0 ? 'behind' : 'ahead'}`
}).join(', ')

const refusal = (reason: string, run: string): string =>
  `${style('red', reason)}; the data is in this run: rankzero sync ${run} --key OTHER`

/** Who works on the run. That the processes of an ended run are gone is as it should be. */
function workLine({ processes, state }: ShownStatus): string {
  const shown = processes.filter((one) => state !== 'ended' || one.alive === true)
  return shown.map(({ role, host, pid, alive }) => {
    const life = alive === false ? ' (gone)' : alive === null ? ' (elsewhere)' : ''
    return `${role} ${pid} on ${host}${life}`
  }).join(', ')
}

const section = (text: string, all: number, what: string): string => {
  if (all === 0) return ''
  return `\n${text}${all > LISTED_MAX ? `… ${count(all - LISTED_MAX)} more ${what} (--json has all)\n` : ''}`
}

/** Those that need a look first: not live or ended, then the furthest behind. */
function memberTable(members: readonly MemberStatus[], failed: readonly Failure[]): string {
  const odd = (member: MemberStatus): number => GOOD.has(member.state) ? 1 : 0
  const listed = members.length <= LISTED_MAX ? members : [...members]
    .sort((a, b) => odd(a) - odd(b) || (a.lastStep ?? -1) - (b.lastStep ?? -1)).slice(0, LISTED_MAX)
  const rows = [...listed].sort((a, b) => a.rank - b.rank || a.attempt - b.attempt).map((member) => [
    member.rank, member.attempt, stateOf(member, failed),
    member.lastStep === null ? null : count(member.lastStep),
    count(member.logged), count(member.pending), member.lagMs === null ? null : duration(member.lagMs),
    member.host, member.pid,
  ])
  return table(['rank', 'try', 'state', 'step', 'logged', 'pending', 'lag', 'host', 'pid'], rows)
}

/** An ended rank that failed says how. */
function stateOf({ rank, pid, host, state }: MemberStatus, failed: readonly Failure[]): string {
  const how = failed.find((one) => one.rank === rank && one.pid === pid && one.host === host)
  if (state !== 'ended' || how === undefined) return state
  return how.signal ?? (how.exit === null ? 'failed' : `exit ${how.exit}`)
}

function metricTable(metrics: readonly MetricStatus[]): string {
  const held = (value: MetricStatus['min'], rank: number | null): string =>
    rank === null ? brief(value) : `${brief(value)} (${rank})`
  const rows = metrics.slice(0, LISTED_MAX).map((row) => [
    row.metric, `${count(row.step)}${row.sealed ? '' : '*'}`, brief(row.value),
    held(row.min, row.minRank), held(row.max, row.maxRank), `${row.count}/${row.expected}`,
  ])
  return table(['metric', 'step', 'value', 'min (rank)', 'max (rank)', 'ranks'], rows)
}
