// pino with the asynchronous destination that its documentation has for the least overhead: 4 KiB are
// buffered.
import { once } from 'node:events'
import { join } from 'node:path'
import { pino } from 'pino'

export { count } from './jsonl.js'

export function begin(dir, rank) {
  const destination = pino.destination({ dest: join(dir, `rank-${rank}.log`), minLength: 4096, sync: false })
  const logger = pino(destination)
  return {
    log: (values, step) => { logger.info({ step, ...values }) },
    async close() {
      destination.end()
      await once(destination, 'close')
    },
  }
}
