// Starts main.ts, which no Node below 22 runs by itself.
import { join } from 'node:path'
import { runnerImport } from 'vite'

const file = join(import.meta.dirname, 'main.ts')
const { module } = await runnerImport(file, { configFile: false, logLevel: 'error' })
await module.main()
