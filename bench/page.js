/**
 * Pictures of a result: a page with all of it, and the README's figure, drawn by ECharts.
 *
 * In: a result of run.js. Out: text of an HTML page and of an SVG, each light or dark as its reader is. Pure.
 */
import * as echarts from 'echarts'
import { REFERENCE, format, keyOf, median, ratios, spread } from './figures.js'
import { describeMachine, referencesOf } from './report.js'

const WIDTH = 720
const BAR = 26
const MARGIN = { top: 54, bottom: 34, left: 190, right: 90 }
/** Each stands for what it is in the light; a reader in the dark sees the other. */
const COLOURS = { '#1f2328': '#e6edf3', '#8c959f': '#7d8590', '#d0d7de': '#30363d', '#0969da': '#4493f8' }
const [INK, BARS, GRID, OURS] = Object.keys(COLOURS)
const DARK = Object.entries(COLOURS).map(([light, dark]) => (
  `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`)).join('')

const isOurs = (peer) => /^(node-)?rankzero$/.test(peer)
const escape = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)

/** Bars of one measure over peers, shortest first; logarithmic where they differ more than twentyfold. */
export function chartOf(title, rows, source = '') {
  const known = rows.filter((row) => median(row.samples) !== null)
    .toSorted((a, b) => median(b.samples) - median(a.samples))
  const values = known.map((row) => median(row.samples))
  const isWide = Math.min(...values) > 0 && Math.max(...values) > 20 * Math.min(...values)
  const chart = echarts.init(null, null, {
    renderer: 'svg', ssr: true, width: WIDTH, height: MARGIN.top + MARGIN.bottom + BAR * known.length,
  })
  const text = { color: INK, fontFamily: 'system-ui, sans-serif' }
  chart.setOption({
    animation: false, textStyle: text, grid: MARGIN,
    title: {
      text: `${title} [${known[0]?.unit ?? ''}]`, textStyle: { ...text, fontSize: 14 },
      subtext: source, subtextStyle: { ...text, fontSize: 10 }, itemGap: 4,
    },
    xAxis: {
      type: isWide ? 'log' : 'value', axisLabel: { ...text, formatter: format, hideOverlap: true },
      splitLine: { lineStyle: { color: GRID } },
    },
    yAxis: {
      type: 'category', data: known.map(({ peer }) => peer), axisLabel: text, axisTick: { show: false },
      axisLine: { lineStyle: { color: GRID } },
    },
    series: [{
      type: 'bar', barWidth: BAR * 0.6, label: {
        show: true, position: 'right', ...text, formatter: ({ value }) => format(value),
      },
      data: known.map(({ peer }, i) => ({
        value: values[i], itemStyle: { color: isOurs(peer) ? OURS : BARS },
      })),
    }],
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}

/** A picture by itself, with its source: it turns dark with the page that shows it. */
export function figureOf(title, rows, source) {
  const style = `<style>@media (prefers-color-scheme: dark){${DARK}}</style>`
  return chartOf(title, rows, source).replace(/(<svg[^>]*>)/, `$1${style}`)
}

function tableOf(rows, times, reference) {
  const cells = rows.map((row) => {
    const [least, most] = spread(row.samples) ?? [null, null]
    const numbers = [median(row.samples), least, most, times.get(keyOf(row)).median].map(format)
    return `<tr${isOurs(row.peer) ? ' class="ours"' : ''}><th>${escape(row.peer)}</th>`
      + `${numbers.map((number) => `<td>${number}</td>`).join('')}</tr>`
  })
  const head = ['peer', 'median', 'min', 'max', `× ${reference}`].map((name) => `<th>${name}</th>`).join('')
  return `<table><thead><tr>${head}</tr></thead><tbody>${cells.join('')}</tbody></table>`
}

function sectionOf(trial, result, times) {
  const rows = result.rows.filter((row) => row.trial === trial.name)
  const parts = Object.keys(trial.measures).map((measure) => {
    const own = rows.filter((row) => row.measure === measure && median(row.samples) !== null)
    const reference = trial.reference ?? REFERENCE
    return own.length ? `<figure>${chartOf(measure, own)}${tableOf(own, times, reference)}</figure>` : ''
  })
  return `<section><h2>${escape(trial.title)}</h2>${parts.join('')}</section>`
}

const CSS = `
:root { color-scheme: light dark; --ink: #1f2328; --paper: #fff; --line: #d0d7de; --ours: #0969da }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d; --ours: #4493f8 } ${DARK} }
body { max-width: 760px; margin: 2rem auto; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper) }
figure { margin: 1.5rem 0 2.5rem } svg { max-width: 100%; height: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th { text-align: left; font-weight: 500 }
th, td { padding: .15rem .9rem .15rem 0; border-bottom: 1px solid var(--line) } td { text-align: right }
.ours th, .ours td { color: var(--ours); font-weight: 600 } pre { white-space: pre-wrap }`

export function pageOf(result) {
  const times = ratios(result.rows, referencesOf(result))
  const versions = Object.entries(result.versions).map((pair) => pair.join(' ')).join(', ')
  const sections = result.trials.map((trial) => sectionOf(trial, result, times))
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>rankzero: benchmarks</title>
<meta name="viewport" content="width=device-width"><style>${CSS}</style>
<h1>rankzero: benchmarks</h1>
<pre>${escape(describeMachine(result))}\n${escape(versions)}</pre>
<p>How each peer is configured, and what a measure means: bench/README.md.
Shorter bars are better, except for rates.</p>
${sections.join('\n')}</html>
`
}
