// node bench/draw.js RESULT.json: the page beside it, and with --readme the figure and the words of the
// README.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { benchPath, pageBeside } from './kit.js'
import { figureOf, pageOf } from './page.js'
import { readmeWords } from './report.js'

const { values, positionals: [path] } = parseArgs({
  allowPositionals: true, options: { readme: { type: 'boolean', default: false } },
})
const result = JSON.parse(readFileSync(path, 'utf8'))
const page = pageBeside(path)
writeFileSync(page, pageOf(result))
console.log(page)
function sourceOf({ machine, date, commit }) {
  const where = `${machine.cores} × ${machine.cpu}`
  return `${where}, ${date.slice(0, 10)}, commit ${commit}: bench/results/${basename(path)}`
}

if (values.readme) {
  const rows = result.rows.filter(({ trial, measure, peer }) => (
    trial === 'tree' && measure === 'CPU' && !peer.startsWith('node-') && peer !== 'none'))
  mkdirSync(benchPath('results'), { recursive: true })
  const figure = figureOf('CPU of the whole process tree', rows, sourceOf(result))
  writeFileSync(benchPath('results/cpu.svg'), figure)
  const readme = benchPath('../README.md')
  writeFileSync(readme, readmeWords(readFileSync(readme, 'utf8'), result))
  console.log(benchPath('results/cpu.svg'), readme)
}
