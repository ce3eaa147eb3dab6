/** Results as text: one Markdown table per trial, peers side by side under each measure. Pure. */
import { costOf, costText } from './fit.js'
import { REFERENCE, compare, format, keyOf, median, ratios, spread } from './figures.js'

export function tableOf(header, rows) {
  const widthOf = (_, column) => Math.max(...[header, ...rows].map((row) => [...row[column]].length))
  const widths = header.map(widthOf)
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [line(header), rule, ...rows.map(line)].join('\n')
}

const rangeText = (range) => range?.map(format).join(' – ') ?? '–'

/** Trial → whose figures the others' are multiples of, where it is not rankzero. */
export const referencesOf = ({ trials }) => (
  Object.fromEntries(trials.flatMap(({ name, reference }) => reference ? [[name, reference]] : [])))

export function describeMachine({ machine, date, commit, options }) {
  return [
    `${machine.cores} × ${machine.cpu} (${machine.arch}), ${machine.memoryGiB} GiB, Linux ${machine.kernel}`,
    `Node ${machine.node}, Python ${machine.python}, journal ${machine.journal}, disk ${machine.disk}`,
    `load ${machine.load} before, ${machine.loadAfter} after`,
    `${date}, commit ${commit}, ${options.rounds} rounds`,
  ].join('\n')
}

export function textOf(result) {
  const times = ratios(result.rows, referencesOf(result))
  const parts = [describeMachine(result)]
  for (const trial of result.trials) {
    const rows = result.rows.filter((row) => row.trial === trial.name)
    const order = Object.keys(trial.measures)
    const sorted = rows.toSorted((a, b) => order.indexOf(a.measure) - order.indexOf(b.measure))
    parts.push(`${trial.name}: ${trial.title}\n` + tableOf(
      ['measure', 'peer', 'unit', 'median', 'min – max', `× ${trial.reference ?? REFERENCE}`, '95 %',
        'budget'],
      sorted.map((row) => [
        row.measure, row.peer, row.unit, format(median(row.samples)), rangeText(spread(row.samples)),
        format(times.get(keyOf(row)).median), rangeText(times.get(keyOf(row)).interval),
        trial.budgets?.[row.measure]?.[row.peer] ?? '',
      ])))
  }
  const cost = costOf(result.rows)
  if (cost) parts.push(costText(cost))
  if (result.failures.length) parts.push(`failed:\n${result.failures.map((text) => `- ${text}`).join('\n')}`)
  if (result.broken?.length) {
    parts.push(`training did not get through:\n${result.broken.map((text) => `- ${text}`).join('\n')}`)
  }
  if (result.leftOut.length) {
    parts.push(`left out, not installed (node bench/install.js): ${result.leftOut.join(', ')}`)
  }
  return parts.join('\n\n')
}

export function comparisonOf(result, before) {
  const rows = compare(result.rows, before.rows)
  return `against ${before.date}, commit ${before.commit}\n` + tableOf(
    ['trial', 'peer', 'measure', 'before', 'now', 'now / before', 'verdict'],
    rows.map((row) => [
      row.trial, row.peer, row.measure, format(row.then), format(row.now), format(row.change), row.verdict,
    ]))
}

const FIGURE = 'bench/results/cpu.svg'

/** The README's line with the figure, its words and its source; a README without that line is an error. */
export function readmeWords(text, result) {
  const rows = result.rows.filter(({ trial, measure, peer }) => (
    trial === 'tree' && measure === 'CPU' && !peer.startsWith('node-') && peer !== 'none'))
  const sorted = rows.toSorted((a, b) => median(a.samples) - median(b.samples))
  const words = sorted.map((row) => `${row.peer} ${format(median(row.samples))}`).join(', ')
  const line = `![CPU seconds of the whole process tree per million points: ${words}](${FIGURE})`
  const known = text.split('\n').findIndex((each) => each.endsWith(`(${FIGURE})`))
  if (known < 0) throw new Error(`README.md has no line that ends with (${FIGURE})`)
  return text.split('\n').with(known, line).join('\n')
}
