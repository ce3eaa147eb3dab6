// First step of `npm run build`: one file instead of a hundred and more for each process that starts, with
// zod in it, which as a package is 95 more. Processes of a run start with a third less CPU for it.
import { defineConfig } from 'rolldown'

const ENTRIES = [
  'index', 'cli/main', 'cli/drill/trainer',
  // What tests and benchmarks use in processes of their own.
  'agent/index', 'aggregator/commit', 'aggregator/core-state', 'aggregator/intake', 'journal/index',
  'journal/process', 'launch/pipes', 'ledger/index', 'ledger/ledger', 'ledger/lockdb', 'limits', 'spawn',
  'transport/index', 'wire/index',
]
const isOurs = (id) => /^[./]/.test(id) || id === 'zod' || id.includes('/node_modules/zod/')

export default defineConfig({
  input: Object.fromEntries(ENTRIES.map((name) => [name, `lib/${name}.ts`])),
  platform: 'node',
  external: (id) => !isOurs(id),
  output: { dir: 'dist', cleanDir: true, entryFileNames: '[name].js', chunkFileNames: 'chunks/[name].js' },
})
