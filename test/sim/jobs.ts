/**
 * Seeds walked by several processes, each every n-th one.
 *
 * In: flags of one walk. Out: the sums of all, or what the first of them found broken.
 * Invariants: a process that says nothing for HANG_MS is ended, and its seed named; none outlives this one's
 * answer.
 */
import { fork, type ChildProcess } from 'node:child_process'

export interface Totals { seeds: number; events: number; simulated: number; synced: number }
export interface Broken { law: string; message: string }
export interface Walked extends Totals { seed: number; violation: Broken | null }

/** A seed takes some 30 ms; a machine that is so much slower than that does not exist. */
const HANG_MS = 120_000
export const HANGS = 'a seed comes to its end'

export async function walkTogether(jobs: number, flagsOf: (n: number) => string[]): Promise<Walked> {
  const children: ChildProcess[] = []
  const over = (): void => {
    for (const child of children) child.kill('SIGKILL')
  }
  try {
    const walks = Array.from({ length: jobs }, (_, n) => walk(flagsOf(n), children))
    const all: Walked[] = []
    // The first that finds something ends the others.
    await Promise.race([Promise.all(walks), ...walks.map(async (one) => {
      const walked = await one
      all.push(walked)
      return walked.violation === null ? new Promise(() => {}) : walked
    })])
    const sum = (what: keyof Totals): number => all.reduce((total, one) => total + one[what], 0)
    const { seed = 0, violation = null } = all.find((one) => one.violation !== null) ?? {}
    return {
      seeds: sum('seeds'), events: sum('events'), simulated: sum('simulated'), synced: sum('synced'), seed,
      violation,
    }
  } finally {
    over()
  }
}

function walk(flags: string[], children: ChildProcess[]): Promise<Walked> {
  const child = fork(process.argv[1]!, flags, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  children.push(child)
  let seed = 0
  let rest = ''
  return new Promise((resolve, reject) => {
    const hung = (): void => {
      const violation = { law: HANGS, message: `seed ${seed} did not in ${HANG_MS / 1000} s` }
      resolve({ seeds: 0, events: 0, simulated: 0, synced: 0, seed, violation })
    }
    let watch = setTimeout(hung, HANG_MS)
    child.on('message', (at) => {
      seed = at as number
      clearTimeout(watch)
      watch = setTimeout(hung, HANG_MS)
    })
    child.stdout!.on('data', (data: Buffer) => {
      const lines = (rest + data.toString()).split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        if (line.startsWith('{')) resolve(JSON.parse(line) as Walked)
        else process.stdout.write(`${line}\n`)
      }
    })
    child.on('close', (status) => {
      clearTimeout(watch)
      reject(new Error(`the walk ended with ${status} at seed ${seed}`))
    })
  })
}
