// node bench/draw.js RESULT.json: the page beside it, and with --readme the figure and the words of the
// README.
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { benchPath } from './kit.js'
import { figureOf, pageOf } from './page.js'
import { readmeWords } from './report.js'

const { values, positionals: [path] } = parseArgs({
  allowPositionals: true, options: { readme: { type: 'boolean', default: false } },
})
const result = JSON.parse(readFileSync(path, 'utf8'))
const page = path.replace(/\.json$/, '.html')
writeFileSync(page, pageOf(result))
console.log(page)
if (values.readme) {
  const rows = result.rows.filter(({ trial, measure, peer }) => (
    trial === 'tree' && measure === 'CPU' && !peer.startsWith('node-')))
  writeFileSync(benchPath('results/cpu.svg'), figureOf('CPU of the whole process tree', rows))
  const readme = benchPath('../README.md')
  writeFileSync(readme, readmeWords(readFileSync(readme, 'utf8'), result))
  console.log(benchPath('results/cpu.svg'), readme)
}
