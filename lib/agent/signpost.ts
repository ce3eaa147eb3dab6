/**
 * Agent, signpost: the port that other nodes can guess, bound on the host that the job's environment names.
 * It leads to the head and takes no data.
 */
import { monotonicMs } from '../clock.ts'
import { messageOf } from '../errors.ts'
import { bindWide, type Router, type RunKeys } from '../transport/index.ts'
import { decodeFrame, encodeFrame } from '../wire/index.ts'
import { Signpost, signpostPorts, type Answer, type Place } from './core-signpost.ts'
import type { Notes } from './notes.ts'

export class SignpostHolder {
  readonly #meeting: string
  readonly #notes: Notes
  readonly #here: () => Place | null
  readonly #signpost: Signpost
  #router: Router | null = null
  #state: 'unbound' | 'binding' | 'bound' | 'closed' = 'unbound'

  /** `here`: where other nodes reach the head of this node, if it is here. */
  constructor(meeting: string, notes: Notes, here: () => Place | null) {
    this.#meeting = meeting
    this.#notes = notes
    this.#here = here
    this.#signpost = new Signpost(meeting)
  }

  /** The head that told us where it is. */
  get told(): Place | null {
    return this.#signpost.told(monotonicMs())
  }

  get denied(): number {
    return this.#router?.denied ?? 0
  }

  /** Binds once; tries again at each call while all ports are taken. */
  bind(keys: RunKeys): void {
    if (this.#state !== 'unbound') return
    this.#state = 'binding'
    void this.#bind(keys)
  }

  close(): void {
    this.#state = 'closed'
    this.#router?.close()
  }

  async #bind(keys: RunKeys): Promise<void> {
    let why = ''
    for (const port of signpostPorts(this.#meeting)) {
      try {
        const router: Router = await bindWide({
          port, keys,
          onFrame: (peer, bytes) => {
            const answer = this.#answer(bytes)
            if (answer !== null) router.send(peer, encodeFrame(answer.type, 0, answer.body))
          },
        })
        if ((this.#state as string) === 'closed') return router.close()
        this.#router = router
        this.#state = 'bound'
        return this.#notes.say(`signpost for other nodes on port ${router.port}`)
      } catch (error) {
        why = messageOf(error)
      }
    }
    if (this.#state === 'binding') this.#state = 'unbound'
    this.#notes.once(`no signpost for other nodes: ${why}`)
  }

  #answer(bytes: Buffer): Answer | null {
    try {
      const { type, term, body } = decodeFrame(bytes)
      if (type === 'HELLO') return this.#signpost.hello(body.meeting, this.#here(), monotonicMs())
      if (type === 'REDIRECT') return this.#signpost.announced(body, term, monotonicMs())
    } catch (error) {
      this.#notes.once(`dropped a frame at the signpost: ${messageOf(error)}`)
    }
    return null
  }
}
