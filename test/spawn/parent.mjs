// Starts the test daemon as a trainer would and prints its lines; lives on until it is killed.
import { fileURLToPath } from 'node:url'
import { spawnDaemon } from '../../dist/spawn.js'

const daemon = fileURLToPath(new URL('./daemon.mjs', import.meta.url))
const { lines } = spawnDaemon([process.execPath, daemon], ['a b', "c'$d"], { env: process.env, ready: true })
for await (const line of lines) console.log(JSON.stringify(line))
