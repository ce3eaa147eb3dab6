/** Memory and open files of the processes of a run, over time; and whether both stay flat. */
import { readdirSync, readFileSync } from 'node:fs'
import { processesOf, type Kind } from '../../lib/cli/drill/processes.ts'

export interface Sample {
  /** Seconds since the workers began. */
  at: number
  /** MB (10^6). */
  pss: number
  fds: number
}

export interface Life { kind: Kind; pid: number; samples: Sample[] }

/** Of a process that lived through the second and the last quarter: medians of both. */
export interface Flatness {
  kind: Kind
  pid: number
  pss: [second: number, last: number]
  fds: [second: number, last: number]
  flat: boolean
}

const PSS_FACTOR_MAX = 1.1
const PSS_MORE_MB_MAX = 4
/** A reconnect holds some for a moment. */
const FDS_MORE_MAX = 3

export function takeSamples(root: string, at: number, lives: Map<number, Life>): void {
  for (const { pid, kind } of processesOf(root)) {
    try {
      const kB = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]
      const sample = { at, pss: Number(kB) * 1024 / 1e6, fds: readdirSync(`/proc/${pid}/fd`).length }
      const life = lives.get(pid) ?? { kind, pid, samples: [] }
      life.samples.push(sample)
      lives.set(pid, life)
    } catch {
      // It went between two looks.
    }
  }
}

export function flatnessOf({ kind, pid, samples }: Life, seconds: number): Flatness | null {
  const quarter = (from: number, to: number): Sample[] =>
    samples.filter(({ at }) => at >= from * seconds && at < to * seconds)
  const [second, last] = [quarter(0.25, 0.5), quarter(0.75, 1)]
  const born = samples[0]?.at ?? Infinity
  // A start-up is no leak: who was born within the second quarter does not count.
  if (second.length === 0 || last.length === 0 || born > 0.25 * seconds) return null
  const pss: [number, number] = [median(second, 'pss'), median(last, 'pss')]
  const fds: [number, number] = [median(second, 'fds'), median(last, 'fds')]
  const flat = pss[1] <= PSS_FACTOR_MAX * pss[0] + PSS_MORE_MB_MAX && fds[1] <= fds[0] + FDS_MORE_MAX
  return { kind, pid, pss, fds, flat }
}

function median(samples: readonly Sample[], of: 'pss' | 'fds'): number {
  const sorted = samples.map((sample) => sample[of]).sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}
