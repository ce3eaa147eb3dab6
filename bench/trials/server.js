// What a tracker's server that is ill costs a job: the same 2 computing workers without a backend, and with
// comet, its server up, refusing connections, taking them and never answering, away in the middle or from
// there on.
//
// The server is no Comet: it says yes to everything, at once. Which of them comes first changes by round.
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { CLI, report, workerPath } from '../kit.js'

const NPROC = 2
const WORK = ['--metrics', 10, '--steps', 500, '--work', 600_000].map(String)
/** Nothing is thinned, and no end waits for a budget. */
const BUDGETS = { RANKZERO_COMET_METRICS: '10000000/60', RANKZERO_COMET_CALLS: '1000000/60' }
const EXIT_TIMEOUT_S = 3
/** After the first metrics have arrived (ms): when the server goes, and when it is back. */
const [AWAY_MS, BACK_MS] = [1000, 3000]
/** Each worker tells when it was gone, ms since the epoch. */
const TELL = '"$@"; echo "{\\"gone\\": $(date +%s%3N)}"'
const ANSWER = JSON.stringify({ runId: 'r', project_id: 'p', is_alive_beat_duration_millis: 10_000 })

/** `onMetrics` hears of each batch. */
function startServer(answers, onMetrics) {
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      if (!answers) return
      if (request.url.includes('metric')) onMetrics()
      response.setHeader('content-type', 'application/json').end(ANSWER)
    })
  })
  const listen = (at) => new Promise((done) => { server.listen(at, '127.0.0.1', done) })
  const away = () => {
    server.close()
    server.closeAllConnections()
  }
  return { listen, away, port: () => server.address().port }
}

/** What becomes of the server, told of the first metrics. */
const MODES = {
  'no backend': () => {},
  'up': () => {},
  'refusing': () => {},
  'hanging': () => {},
  'away in the middle': ({ away, listen }, port) => {
    setTimeout(away, AWAY_MS)
    setTimeout(() => listen(port), BACK_MS)
  },
  'away at the end': ({ away }) => { setTimeout(away, AWAY_MS) },
}

async function runOnce(mode) {
  let begun = false
  const server = startServer(mode !== 'hanging', () => {
    if (!begun) MODES[mode](server, port)
    begun = true
  })
  await server.listen(0)
  const port = server.port()
  if (mode === 'refusing') server.away()
  const backend = mode === 'no backend' ? [] : ['--backend', 'comet']
  const flags = ['--nproc', NPROC, '--console', 'raw', ...backend, '--exit-timeout', EXIT_TIMEOUT_S]
  const worker = ['sh', '-c', TELL, 'sh', process.execPath, workerPath, ...WORK]
  const child = spawn(process.execPath, [CLI, 'run', ...flags, '--', ...worker].map(String), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...BUDGETS, COMET_API_KEY: 'k', COMET_URL_OVERRIDE: `http://127.0.0.1:${port}` },
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => { stdout += chunk })
  child.stderr.on('data', (chunk) => { stderr += chunk })
  const code = await new Promise((done) => { child.on('close', done) })
  const ended = Date.now()
  server.away()
  if (code !== 0) throw new Error(`${mode}: rankzero run ended with ${code}: ${stderr}`)
  const told = stdout.trim().split('\n').map((line) => JSON.parse(line))
  const of = (name) => told.flatMap((line) => line[name] ?? [])
  const to = Math.max(...of('to'))
  return {
    loop: (to - Math.min(...of('from'))) / 1000, exit: Math.max(...of('gone')) - to,
    run: (ended - Math.max(...of('gone'))) / 1000,
  }
}

const names = Object.keys(MODES)
const first = process.pid % names.length
const found = {}
for (const name of [...names.slice(first), ...names.slice(0, first)]) found[name] = await runOnce(name)
const { loop } = found['no backend']
const measures = { 'no backend, loop': loop }
for (const name of names.slice(1)) {
  measures[`${name}, loop`] = found[name].loop / loop
  measures[`${name}, trainer exit`] = found[name].exit
  measures[`${name}, rankzero run`] = found[name].run
}
report(measures)
