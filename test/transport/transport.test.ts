import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { MESSAGE_FRAMES_MAX } from '../../lib/limits.ts'
import { bindRouter, connectDealer, keysOf, type Dealer, type Router } from '../../lib/transport/index.ts'
import { Writer } from '../../lib/transport/writer.ts'

const KEYS = keysOf(Buffer.alloc(32, 1))

const open: { close(): void }[] = []
const children: ChildProcess[] = []
afterEach(() => {
  for (const one of open.splice(0)) one.close()
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** A queue that a test can await instead of sleeping. */
class Inbox<T> {
  readonly #items: T[] = []
  #wake: (() => void) | null = null
  put(item: T): void {
    this.#items.push(item)
    this.#wake?.()
  }
  async take(): Promise<T> {
    while (this.#items.length === 0) await new Promise<void>((resolve) => { this.#wake = resolve })
    return this.#items.shift() as T
  }
}

type OnText = (router: Router, peer: Buffer, text: string) => void

async function router(onFrame: OnText, onGone?: () => void): Promise<Router> {
  const made: Router = await bindRouter({
    host: '127.0.0.1', port: 0, keys: KEYS, onGone,
    onFrame: (peer, frame) => onFrame(made, Buffer.from(peer), frame.toString()),
  })
  open.push(made)
  return made
}

function dealer(port: number): { dealer: Dealer; frames: Inbox<string>; downs: Inbox<string> } {
  const frames = new Inbox<string>()
  const downs = new Inbox<string>()
  const made = connectDealer({
    host: '127.0.0.1', port, keys: KEYS,
    onFrame: (frame) => frames.put(frame.toString()), onDown: (why) => downs.put(why),
  })
  open.push(made)
  return { dealer: made, frames, downs }
}

/** Child processes run what `npm test` has built: Node 20 knows no TypeScript. */
const BUILT = JSON.stringify(new URL('../../dist/transport/index.js', import.meta.url).pathname)

const ECHO = `
import { bindRouter, keysOf } from ${BUILT}
const router = await bindRouter({ host: '127.0.0.1', port: Number(process.argv[1] ?? 0),
  keys: keysOf(Buffer.alloc(32, 1)),
  onFrame: (peer, frame) => router.send(Buffer.from(peer), Buffer.from(frame)) })
console.log(router.port)
`

/** An echo server in a process of its own, to be killed. */
async function echoProcess(port: number): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', ECHO, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const [line] = await once(createInterface({ input: child.stdout! }), 'line') as [string]
  return { child, port: Number(line) }
}

describe('dealer and router', () => {
  test('frames go both ways, in order, whatever their size', async () => {
    const server = await router((r, peer, text) => r.send(peer, Buffer.from(text)))
    const { dealer: client, frames } = dealer(server.port)
    const sent = Array.from({ length: 60 }, (_, i) => `${i}:${'x'.repeat(i * 700)}`)
    for (const text of sent) expect(client.send(Buffer.from(text))).toBe(true)
    for (const text of sent) expect(await frames.take()).toBe(text)
  })

  test('a connection to nobody is reported as refused', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    server.close()
    await once(server, 'close')
    expect(await dealer(port).downs.take()).toBe('refused')
  })

  test('a queue that nobody empties refuses frames in the end; data is told to wait before', async () => {
    // Accepts, never speaks ZMTP: the handshake never ends, so nothing may be sent.
    const accepted: Socket[] = []
    const mute = createServer((socket) => { accepted.push(socket) }).listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const { dealer: client } = dealer((mute.address() as { port: number }).port)
    let taken = 0
    let fullAt = 0
    while (client.send(Buffer.from(`frame ${taken}`))) {
      taken++
      if (client.full && fullAt === 0) fullAt = taken
    }
    expect(fullAt).toBeGreaterThan(0)
    expect(taken).toBeGreaterThan(fullAt)
    expect(fullAt).toBeLessThanOrEqual(MESSAGE_FRAMES_MAX + 1)
    expect(taken).toBeLessThan(5000)
    client.close()
    for (const socket of accepted) socket.destroy()
    mute.close()
  })

  test('a killed peer is reported once, and a new connection to the one in its place works', async () => {
    const first = await echoProcess(0)
    const { dealer: client, frames, downs } = dealer(first.port)
    client.send(Buffer.from('one'))
    expect(await frames.take()).toBe('one')
    first.child.kill('SIGKILL')
    expect(await downs.take()).toBe('disconnect')
    expect(client.send(Buffer.from('into the void'))).toBe(false)
    client.close()

    const second = await echoProcess(first.port)
    expect(second.port).toBe(first.port)
    const again = dealer(second.port)
    again.dealer.send(Buffer.from('two'))
    expect(await again.frames.take()).toBe('two')
  })

  test('a frame to a peer that left is reported, not dropped silently', async () => {
    const gone = new Inbox<boolean>()
    const peers = new Inbox<Buffer>()
    const server = await router((_, peer) => peers.put(peer), () => gone.put(true))
    const { dealer: client } = dealer(server.port)
    client.send(Buffer.from('hello'))
    const peer = await peers.take()
    client.close()
    const again = setInterval(() => server.send(peer, Buffer.from('are you there')), 10)
    expect(await gone.take()).toBe(true)
    clearInterval(again)
  })

  test('a peer that sends an oversize frame is disconnected', async () => {
    const server = await router((r, peer, text) => r.send(peer, Buffer.from(`${text.length}`)))
    const { dealer: client, downs } = dealer(server.port)
    client.send(Buffer.alloc(9 * 1024 * 1024))
    expect(await downs.take()).toBe('disconnect')
  })

  test('a port in use is named in the error', async () => {
    const server = await router(() => {})
    const taken = { host: '127.0.0.1', port: server.port, keys: KEYS, onFrame() {} }
    await expect(bindRouter(taken)).rejects.toMatchObject({
      code: 'PROTOCOL', message: expect.stringContaining(String(server.port)),
    })
  })

  test('too few free file descriptors refuse the bind', async () => {
    const script = `
      import { bindRouter, keysOf } from ${BUILT}
      const keys = keysOf(Buffer.alloc(32, 1))
      try { await bindRouter({ host: '127.0.0.1', port: 0, keys, onFrame() {} }); console.log('bound') }
      catch (error) { console.log(error.code, error.remedy) }
      process.exit()`
    const child = spawn('/bin/sh', [
      '-c', 'ulimit -n 128 && exec "$@"', 'sh', process.execPath, '--input-type=module', '-e', script,
    ], { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(child)
    const [line] = await once(createInterface({ input: child.stdout! }), 'line') as [string]
    expect(line).toContain('PROTOCOL raise the limit')
  })

  test('a process that closed its sockets exits although a frame waits for nobody', async () => {
    const script = `
      import { connectDealer, keysOf } from ${BUILT}
      const keys = keysOf(Buffer.alloc(32, 1))
      const dealer = connectDealer({ host: '127.0.0.1', port: 1, keys, onFrame() {}, onDown() {} })
      dealer.send(Buffer.from('nobody reads this'))
      setImmediate(() => dealer.close())`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' })
    children.push(child)
    expect((await once(child, 'exit'))[0]).toBe(0)
  })
})

describe('writer', () => {
  test('never has two sends under way and keeps the order', async () => {
    let under = 0
    const seen: number[] = []
    const writer = new Writer<number>(100, async (peer, [frame]) => {
      expect(++under).toBe(1)
      await Promise.resolve()
      expect(frame).toEqual(Uint8Array.of(peer))
      seen.push(peer)
      under--
    }, () => {})
    for (let n = 0; n < 50; n++) expect(writer.push(n, Uint8Array.of(n))).toBe(true)
    while (seen.length < 50) await Promise.resolve()
    expect(seen).toEqual(Array.from({ length: 50 }, (_, n) => n))
  })

  test('sends what one peer gets in one go as messages of many frames, and mixes no peers', async () => {
    const sent: [string, number[]][] = []
    const writer = new Writer<string>(200, async (peer, frames) => {
      sent.push([peer, frames.map(([byte]) => byte!)])
    }, () => {})
    const bytes = Array.from({ length: MESSAGE_FRAMES_MAX + 2 }, (_, n) => n)
    for (const n of bytes) writer.push('a', Uint8Array.of(n))
    writer.push('b', Uint8Array.of(1))
    writer.push('a', Uint8Array.of(2))
    while (sent.length < 4) await Promise.resolve()
    const [full, rest] = [bytes.slice(0, MESSAGE_FRAMES_MAX), bytes.slice(MESSAGE_FRAMES_MAX)]
    expect(sent).toEqual([['a', full], ['a', rest], ['b', [1]], ['a', [2]]])
  })

  test('goes on after a send that failed and reports it', async () => {
    const failed: number[] = []
    const sent: number[] = []
    const writer = new Writer<number>(10, async (peer) => {
      if (peer === 1) throw new Error('no')
      sent.push(peer)
    }, (peer) => failed.push(peer))
    for (let n = 0; n < 3; n++) writer.push(n, Uint8Array.of(n))
    while (sent.length < 2) await Promise.resolve()
    expect(failed).toEqual([1])
    expect(sent).toEqual([0, 2])
  })
})
