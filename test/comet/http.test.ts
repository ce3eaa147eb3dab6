/** Calls end, whoever is in the way; and the next one has its chance. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { setTimeout as sleep } from 'node:timers/promises'
import { Http, type HttpOptions } from '../../lib/backend/comet/http.ts'
import { askVersion, type Request } from '../../lib/backend/comet/core-requests.ts'
import { Budget } from '../../lib/backend/core-budget.ts'
import { NO_PROXIES } from './kit.ts'

const closing: (() => void)[] = []
const before = { ...process.env }
afterEach(() => {
  for (const close of closing.splice(0)) close()
  process.env = { ...before }
})

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done) })
  closing.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

function httpOf(server: string, contentOf?: HttpOptions['contentOf']): Http {
  const all = { max: Infinity, windowMs: 1 }
  const rates = { calls: all, metric: all, parameter: all, output: all, other: all }
  const files = contentOf === undefined ? {} : { contentOf }
  const http = new Http({ server, apiKey: 'k', budget: new Budget(rates, true, 0), log: null, ...files })
  closing.push(() => { http.close() })
  return http
}

describe('a call', () => {
  it('ends, though its answer comes by drops; or its proxy never opens the way, and then does', async () => {
    const drops = createServer((_, response) => {
      response.write(' ')
      const timer = setInterval(() => response.write(' '), 5000)
      response.on('close', () => { clearInterval(timer) })
    })
    let isOpen = false
    const proxy = createServer().on('connect', (_, socket: Socket) => {
      socket.on('error', () => {})
      if (isOpen) socket.end('HTTP/1.1 503 No\r\n\r\n')
    })
    const [dropsPort, proxyPort] = [await listen(drops), await listen(proxy)]
    const by = { HTTP_PROXY: `http://127.0.0.1:${proxyPort}`, NO_PROXY: '127.0.0.1' }
    Object.assign(process.env, NO_PROXIES, by)
    const tunnelled = httpOf('http://comet.example')
    const late = { code: 'ETIMEDOUT', message: expect.stringMatching(/^no whole answer in \d+ s$/) as string }
    expect(await Promise.all([
      httpOf(`http://127.0.0.1:${dropsPort}`).call(askVersion, null), tunnelled.call(askVersion, null),
    ])).toEqual([late, late])
    const soon = AbortSignal.timeout(100)
    expect(await tunnelled.call(askVersion, soon)).toMatchObject({ message: 'given up' })
    isOpen = true
    expect(await tunnelled.call(askVersion, null))
      .toMatchObject({ message: 'Proxy response (503) !== 200 when HTTP Tunneling' })
    expect(tunnelled.calls.view()).toMatchObject({ made: 3, failed: 3 })
  })

  it('that carries a file goes on as long as that moves, and ends when it does not', async () => {
    const [PARTS, LARGE, SLOW_PER_MS] = [8, 5 << 20, 160]
    const port = await listen(createServer((request, response) => {
      let size = 0
      request.on('data', (part: Buffer) => {
        size += part.length
        if (request.url !== '/slow') return
        request.pause()
        void sleep(part.length / SLOW_PER_MS).then(() => request.resume())
      })
      request.on('end', () => { response.end(JSON.stringify({ size })) })
    }))
    async function* slow(): AsyncGenerator<Uint8Array> {
      for (let n = 0; n < PARTS; n++) {
        await sleep(4000)
        yield Buffer.alloc(10)
      }
    }
    async function* never(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10)
      await new Promise(() => {})
    }
    // Buffers take all of it at once, and the line brings it to the other end in half a minute.
    async function* large(): AsyncGenerator<Uint8Array> {
      for (let n = 0; n < 5; n++) yield Buffer.alloc(LARGE / 5)
    }
    const content = { size: 10 * PARTS, sha256: '0'.repeat(64) }
    const upload: Request = {
      method: 'POST', path: '/upload', body: null, kind: 'other', count: 1,
      form: { content, link: null, metadata: '{}' },
    }
    const buffered: Request = {
      ...upload, path: '/slow', form: { ...upload.form!, content: { ...content, size: LARGE } },
    }
    const [whole, hung, late] = [slow, never, large]
      .map((one) => httpOf(`http://127.0.0.1:${port}`, one)) as [Http, Http, Http]
    const [got, lost, arrived] = await Promise.all(
      [whole.call(upload, null), hung.call(upload, null), late.call(buffered, null)])
    expect(arrived).toMatchObject({ status: 200, body: { size: expect.any(Number) as number } })
    expect(got).toMatchObject({ status: 200, body: { size: expect.any(Number) as number } })
    expect([whole.sentBytes, hung.sentBytes]).toEqual([content.size, 10])
    expect(lost).toMatchObject({ code: expect.stringMatching(/TIMEOUT|ETIMEDOUT/) as string })
  })
})
