/** `npm run fuzz -- [--seconds N] [--seed S] [TARGET…]`: longer than CI, of the targets named or of all. */
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } }, allowPositionals: true,
})
const env = {
  ...process.env, RANKZERO_FUZZ_SECONDS: values.seconds, RANKZERO_FUZZ_TARGETS: positionals.join(' '),
  ...values.seed === undefined ? {} : { RANKZERO_FUZZ_SEED: values.seed },
}
const words = ['vitest', 'run', 'test/fuzz/fuzz.test.ts', '-t', 'seed']
const done = spawnSync('npx', words, { env, stdio: 'inherit' })
process.exit(done.status ?? 1)
