// Starts main.ts, which no Node below 22 runs by itself. A drill ends with its process, whatever holds on.
import { join } from 'node:path'
import { runnerImport } from 'vite'

const file = join(import.meta.dirname, 'main.ts')
const { module } = await runnerImport(file, { configFile: false, logLevel: 'error' })
process.exit(await module.main(process.argv.slice(2)))
