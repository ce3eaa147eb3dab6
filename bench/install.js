/**
 * Brings the peers: those in Python into a virtual environment of `.cache`, those in Node, and what draws the
 * pictures, into node_modules of this folder. `npm install` of rankzero itself brings none of it. Without
 * anything to do it is over in a second. What the commands print is in `.cache/bench/install.log`.
 */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { keyOf, makeSteps } from '../test/setup/steps.js'
import { BENCH_PYTHON, benchPath } from './kit.js'

const INSTALL_MS = 1_800_000
const cache = benchPath('../.cache/bench')
const venv = join(cache, 'venv')
const list = benchPath('requirements.txt')
const stubs = benchPath('../test/setup/cuda_stubs.py')
const { run, step, whole } = makeSteps('bench', join(cache, 'install.log'))

async function installPython() {
  const stamp = join(venv, `complete-${keyOf([list, stubs])}`)
  if (existsSync(stamp)) return
  await step('peers in Python (torch and others)', async () => {
    if (!existsSync(BENCH_PYTHON)) await run('python3', ['-m', 'venv', venv], INSTALL_MS)
    const options = ['--disable-pip-version-check', '--no-deps']
    await run(BENCH_PYTHON, ['-m', 'pip', 'install', ...options, '-r', list], INSTALL_MS)
    await run(BENCH_PYTHON, [stubs], INSTALL_MS)
  })
  for (const old of readdirSync(venv)) if (old.startsWith('complete-')) rmSync(join(venv, old))
  writeFileSync(stamp, '')
}

async function installNode() {
  const key = keyOf([benchPath('package-lock.json')])
  const stamp = benchPath(`node_modules/complete-${key}`)
  if (existsSync(stamp)) return
  const options = { cwd: benchPath('.') }
  await step('peers in Node', () => run('npm', ['ci', '--no-audit', '--no-fund'], INSTALL_MS, options))
  writeFileSync(stamp, '')
}

await whole(async () => {
  await installPython()
  await installNode()
})
