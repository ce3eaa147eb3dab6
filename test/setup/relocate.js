/**
 * pip writes the path by which Python was called into the first line of every script: in a checkout that is
 * moved or copied, or whose `.cache` was reached through a link that is gone, none of them starts.
 */
import { chmodSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** For a shell it calls the Python beside the script; for Python it is a text that nobody reads. */
const HEAD = `#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"
' '''
`

/** Scripts of `bin` find the Python that lies beside them, wherever that is. What others run goes on. */
export function relocate(bin) {
  for (const name of readdirSync(bin)) {
    const path = join(bin, name)
    const bytes = readFileSync(path)
    const first = bytes.subarray(0, bytes.indexOf('\n') + 1)
    if (!/^#!\/.*\/python[0-9.]*\n$/.test(first.toString('latin1'))) continue
    const next = `${path}.next`
    writeFileSync(next, Buffer.concat([Buffer.from(HEAD), bytes.subarray(first.length)]))
    chmodSync(next, statSync(path).mode)
    renameSync(next, path)
  }
}
