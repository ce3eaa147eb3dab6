// rankzero as its README has it, under `rankzero run --nproc`.
import { execFileSync } from 'node:child_process'
import { CLI, importDist } from '../kit.js'

const EXPORT_BYTES_MAX = 2 ** 30

export async function begin() {
  const { init } = await importDist('index.js')
  const run = init({ project: 'bench' })
  return { log: (values, step) => run.log(values, { step }), close: () => run.end() }
}

/** Through the command that users have, not through what the run says of itself. */
export function count(dir) {
  const command = [CLI, 'export', '--points', '--dir', dir]
  const text = execFileSync(process.execPath, command, { encoding: 'utf8', maxBuffer: EXPORT_BYTES_MAX })
  return text.split('\n').filter((line) => line.startsWith('{"metric"')).length
}
