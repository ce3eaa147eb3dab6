/** Runs the trainer code in T_CODE as a function of `run` and `sleep`; prints what it returns as JSON. */
import { init } from 'rankzero'

const run = init()
const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
const body = new Function('run', 'sleep', `return (async () => { ${process.env.T_CODE} })()`)
const result = await body(run, sleep)
await run.end()
if (result !== undefined) console.log(JSON.stringify(result))
