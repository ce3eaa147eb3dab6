// One of the trials in Python: python-log.py or python-cpu.py, with the client of this checkout.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { CLI, report, VENV_PYTHON } from '../kit.js'

const [script, ...args] = process.argv.slice(2)
const path = fileURLToPath(new URL(script, import.meta.url))
const python = args.includes('tensorboardX') ? VENV_PYTHON : 'python3'
const supervisor = script === 'python-cpu.py' ? [process.execPath, CLI, 'run', '--'] : []
const command = [...supervisor, python, path]
const client = fileURLToPath(new URL('../../lib/python', import.meta.url))
const env = { ...process.env, PYTHONPATH: client, PYTHONDONTWRITEBYTECODE: '1', RANKZERO_CLI: CLI }
const child = spawn(command[0], [...command.slice(1), ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] })
let stdout = ''
child.stdout.on('data', (chunk) => { stdout += chunk })
const code = await new Promise((resolve) => { child.on('close', resolve) })
if (code !== 0) throw new Error(`${script} ended with ${code}`)
report(JSON.parse(stdout.trim().split('\n').at(-1)))
