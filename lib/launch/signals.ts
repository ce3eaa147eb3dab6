import { wallMs } from '../clock.ts'
import { Canary } from './canary.ts'
import { isManaged, passesOn } from './core-outcome.ts'
import { terminalFacts, underNohup } from './processes.ts'

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const
/** Notices of batch systems: they are for COMMAND, which gets its own; their default action would kill us. */
const NOTICES = ['SIGUSR1', 'SIGUSR2'] as const

export interface Heard {
  signal: NodeJS.Signals
  /** COMMAND has not got it, so it is ours to send on. */
  passOn: boolean
  /** Not the first one. */
  again: boolean
  /** When it came, before anybody was asked about it. */
  at: number
}

/** We never leave before COMMAND: every signal that would end us is heard instead. Returns what undoes it. */
export function listen(
  mode: 'auto' | 'always' | 'never', env: NodeJS.ProcessEnv, heard: (one: Heard) => void,
): () => void {
  const managed = isManaged(env)
  // A closed terminal is no longer ours when its HUP arrives, so what was true at the start counts too.
  const before = terminalFacts()
  const canary = mode === 'auto' && !managed ? new Canary() : null
  let count = 0
  const onSignal = async (signal: NodeJS.Signals): Promise<void> => {
    const again = count++ > 0
    const at = wallMs()
    const now = terminalFacts()
    const terminal = before.terminal || now.terminal
    const ours = passesOn({ signal, mode, terminal, foreground: now.foreground, managed })
    const passOn = ours && !(await canary?.fellOf(signal))
    heard({ signal, passOn, again, at })
  }
  const ignore = (): void => {}
  const nohup = underNohup()
  const handlers = [
    ...ENDING.map((signal) => [signal, nohup && signal === 'SIGHUP' ? ignore : onSignal] as const),
    ...NOTICES.map((signal) => [signal, ignore] as const),
  ]
  for (const [signal, handler] of handlers) process.on(signal, handler)
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler)
    canary?.close()
  }
}
