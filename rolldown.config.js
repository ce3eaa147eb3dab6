// Second step of `npm run build`: one file instead of a hundred and more for each process that starts, with
// zod in it, which as a package is 95 more. Processes of a run start with a third less CPU for it.
import { defineConfig } from 'rolldown'

const ENTRIES = [
  'index', 'cli/main', 'cli/drill/trainer',
  // What tests start in processes of its own.
  'journal/index', 'journal/process', 'launch/pipes', 'spawn', 'transport/index',
]
const isOurs = (id) => /^[./]/.test(id) || id === 'zod' || id.includes('/node_modules/zod/')

export default defineConfig({
  input: Object.fromEntries(ENTRIES.map((name) => [name, `lib/${name}.ts`])),
  platform: 'node',
  external: (id) => !isOurs(id),
  output: { dir: 'dist', entryFileNames: '[name].js', chunkFileNames: 'chunks/[name].js' },
  logLevel: 'warn',
})
