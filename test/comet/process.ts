/** The server in a process of its own, which ends with this one: the same desk, each answer a promise. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import type { Desk } from './desk.ts'
import type { Options } from './index.ts'

export type RemoteDesk = {
  [Name in keyof Desk]: (...args: Parameters<Desk[Name]>) => Promise<Awaited<ReturnType<Desk[Name]>>>
}

export interface Spawned {
  url: string
  desk: RemoteDesk
  close(): Promise<void>
}

/** Of a second, on an idle machine. */
const START_MS = 60_000

async function ask(control: string, name: string, args: unknown[]): Promise<unknown> {
  const response = await fetch(`${control}/${name}`, { method: 'POST', body: JSON.stringify(args) })
  const { value, error } = await response.json() as { value?: unknown; error?: string }
  if (error !== undefined) throw new Error(`${name}: ${error}`)
  return value
}

/** Options go by standard input: a key has no place in a list of processes. */
export async function spawnStandIn(options: Options = {}): Promise<Spawned> {
  const script = join(import.meta.dirname, 'run.js')
  const child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] })
  const gone = new Promise<void>((done) => { child.on('close', () => { done() }) })
  child.stdin.write(`${JSON.stringify(options)}\n`)
  const late = setTimeout(() => { child.kill('SIGKILL') }, START_MS)
  const first = await new Promise<string>((done, fail) => {
    createInterface(child.stdout).once('line', done)
    void gone.then(() => { fail(new Error(`the stand-in ended at once, or took over ${START_MS} ms`)) })
  })
  clearTimeout(late)
  const { url, control } = JSON.parse(first) as { url: string; control: string }
  const desk = new Proxy({}, {
    get: (_, name) => (...args: unknown[]) => ask(control, String(name), args),
  }) as RemoteDesk
  const close = async (): Promise<void> => {
    child.stdin.end()
    await gone
  }
  return { url, desk, close }
}
