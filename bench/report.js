/** Results as text: one Markdown table per trial, peers side by side under each measure. Pure. */
import { compare, format, keyOf, median, ratios, spread } from './figures.js'

export function tableOf(header, rows) {
  const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => [...row[column]].length)))
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`
  return [line(header), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)].join('\n')
}

const spreadText = (samples) => spread(samples)?.map(format).join(' – ') ?? '–'

export function describeMachine({ machine, date, commit, options }) {
  return [
    `${machine.cores} × ${machine.cpu} (${machine.arch}), ${machine.memoryGiB} GiB, Linux ${machine.kernel}`,
    `Node ${machine.node}, Python ${machine.python}, journal ${machine.journal}, disk ${machine.disk}`,
    `load ${machine.load} before, ${machine.loadAfter} after; ${date}, commit ${commit}, ${options.rounds} rounds`,
  ].join('\n')
}

export function textOf(result) {
  const times = ratios(result.rows)
  const parts = [describeMachine(result)]
  for (const trial of result.trials) {
    const rows = result.rows.filter((row) => row.trial === trial.name)
    const order = Object.keys(trial.measures)
    const sorted = rows.toSorted((a, b) => order.indexOf(a.measure) - order.indexOf(b.measure))
    parts.push(`${trial.name}: ${trial.title}\n` + tableOf(
      ['measure', 'peer', 'unit', 'median', 'min – max', '× rankzero', 'budget'],
      sorted.map((row) => [
        row.measure, row.peer, row.unit, format(median(row.samples)), spreadText(row.samples),
        row.peer === 'rankzero' ? '1' : format(times.get(keyOf(row))),
        row.peer === 'rankzero' ? trial.measures[row.measure].budget ?? '' : '',
      ])))
  }
  if (result.failures.length) parts.push(`failed:\n${result.failures.map((text) => `- ${text}`).join('\n')}`)
  if (result.leftOut.length) parts.push(`left out, not installed (node bench/install.js): ${result.leftOut.join(', ')}`)
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
