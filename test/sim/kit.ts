import { spawnSync } from 'node:child_process'
import { bundle } from './bundle.js'
import type { Mutation } from './mutations.ts'

/** What a run of the simulator said, with --json. */
export interface Said {
  seeds?: number
  seed?: number
  violation: { law: string; message: string } | null
  again?: string
  seconds: number
}

export function simulate(file: string, ...flags: string[]): Said {
  const { stdout, stderr } = spawnSync(process.execPath, [file, '--json', ...flags], { encoding: 'utf8' })
  const line = stdout.trim().split('\n').at(-1) ?? ''
  if (!line.startsWith('{')) throw new Error(`the simulator says nothing: ${stderr.slice(-2000)}`)
  return JSON.parse(line) as Said
}

export const bundled = (mutation: Mutation | null = null): Promise<string> => bundle(mutation)
