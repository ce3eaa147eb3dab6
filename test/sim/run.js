/** `npm run sim -- [flags]`: see README.md. */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { bundle } from './bundle.js'

const file = await bundle()
try {
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', file, ...process.argv.slice(2)],
    { stdio: 'inherit' })
  process.exitCode = status ?? 1
} finally {
  rmSync(dirname(file), { recursive: true })
}
