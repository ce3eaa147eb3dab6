/** The process of process.ts: options on the first line in, `{url, control}` on the first line out. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { jsonOf, readAll } from './body.ts'
import { startStandIn, type Options } from './index.ts'

export async function main(): Promise<void> {
  const lines = createInterface(process.stdin)
  // The end of the input is the end of whoever wants this server.
  lines.on('close', () => process.exit(0))
  const options = await new Promise<string>((done) => { lines.once('line', done) })
  const standIn = await startStandIn(JSON.parse(options) as Options)
  const control = createServer((request, response) => {
    void (async () => {
      const name = (request.url ?? '/').slice(1) as keyof typeof standIn.desk
      let answer: object
      try {
        const args = jsonOf(await readAll(request) ?? Buffer.alloc(0)) as []
        answer = { value: await (standIn.desk[name] as (...args: unknown[]) => unknown)(...args) ?? null }
      } catch (error) {
        answer = { error: String(error) }
      }
      // A test may be busy for longer than a connection stays: the next question would find it closed.
      response.setHeader('Connection', 'close').end(JSON.stringify(answer))
    })()
  })
  await new Promise<void>((done) => { control.listen(0, '127.0.0.1', done) })
  const { port } = control.address() as AddressInfo
  process.stdout.write(`${JSON.stringify({ url: standIn.url, control: `http://127.0.0.1:${port}` })}\n`)
}
