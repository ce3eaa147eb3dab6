import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { curveKeyPair } from 'zeromq'
import {
  bindWide, connectDealer, ensureKeys, keysOf, readKeys, type Dealer, type Router, type RunKeys,
} from '../../lib/transport/index.ts'
import { Door } from '../../lib/transport/core-door.ts'
import { z85 } from '../../lib/transport/z85.ts'

const cleanups: (() => void)[] = []
afterEach(() => { for (const clean of cleanups.splice(0)) clean() })

const KEYS = keysOf(Buffer.alloc(32, 1))
const OTHER = keysOf(Buffer.alloc(32, 2))

async function until(what: string, check: () => boolean, ms = 10_000): Promise<void> {
  const end = performance.now() + ms
  while (!check()) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function echo(keys: RunKeys = KEYS): Promise<{ router: Router; heard: string[] }> {
  const heard: string[] = []
  const router: Router = await bindWide({
    port: 0, keys,
    onFrame: (peer, frame) => {
      heard.push(frame.toString())
      router.send(Buffer.from(peer), Buffer.from(frame))
    },
  })
  cleanups.push(() => router.close())
  return { router, heard }
}

interface Visitor { dealer: Dealer; frames: string[]; downs: string[]; ups: number }

function visit(port: number, keys: RunKeys, host = '127.0.0.1'): Visitor {
  const visitor = { frames: [] as string[], downs: [] as string[], ups: 0 } as Visitor
  visitor.dealer = connectDealer({
    host, port, keys, onUp: () => { visitor.ups++ },
    onFrame: (frame) => visitor.frames.push(frame.toString()), onDown: (why) => visitor.downs.push(why),
  })
  visitor.dealer.send(Buffer.from('hello'))
  cleanups.push(() => visitor.dealer.close())
  return visitor
}

describe('z85', () => {
  it('is that of RFC 32', () => {
    expect(z85(Buffer.from('864fd26fb559f75b', 'hex'))).toBe('HelloWorld')
    expect(z85(Buffer.alloc(4))).toBe('00000')
    expect(z85(Buffer.alloc(4, 255))).toBe('%nSc0')
  })
})

describe('keys', () => {
  it('are curve25519 pairs, as zeromq makes them, the same for the same secret and never for another', () => {
    expect(KEYS.server.publicKey).toHaveLength(curveKeyPair().publicKey.length)
    expect(keysOf(Buffer.alloc(32, 1))).toEqual(KEYS)
    fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (secret) => {
      const { server, client } = keysOf(secret)
      const all = [server, client].flatMap((pair) => [pair.publicKey, pair.secretKey])
      expect(new Set(all).size).toBe(4)
    }), { numRuns: 20 })
  })
})

describe('the secret file', () => {
  const place = (): string => {
    const dir = mkdtempSync(join(tmpdir(), 'rz-secret-'))
    cleanups.push(() => rmSync(dir, { recursive: true }))
    return join(dir, 'secret')
  }

  it('is made once, for its owner alone', () => {
    const path = place()
    const made = ensureKeys(path)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(ensureKeys(path)).toEqual(made)
    expect(readKeys(path)).toEqual(made)
  })

  it('may hold hex or base64', () => {
    const path = place()
    for (const text of ['01'.repeat(32), Buffer.alloc(32, 1).toString('base64')]) {
      writeFileSync(path, `${text}\n`, { mode: 0o600 })
      expect(readKeys(path)).toEqual(KEYS)
    }
  })

  it('is refused with what to do when others can read it, when it is none, or not there', () => {
    const path = place()
    expect(() => readKeys(path)).toThrow(/ENOENT/)
    writeFileSync(path, '01'.repeat(32), { mode: 0o600 })
    chmodSync(path, 0o640)
    expect(() => readKeys(path)).toThrow(expect.objectContaining({
      code: 'USAGE', message: expect.stringContaining('640'), remedy: `chmod 600 ${path}`,
    }))
    for (const text of ['', 'short', '01'.repeat(31), 'x'.repeat(300)]) {
      rmSync(path)
      writeFileSync(path, text, { mode: 0o600 })
      expect(() => readKeys(path), text).toThrow(/32 bytes/)
    }
    expect(readFileSync(path, 'utf8')).toBe('x'.repeat(300))
  })
})

describe('with a secret', () => {
  it('frames go both ways, over IPv4 and IPv6, and nobody was denied', async () => {
    const { router } = await echo()
    for (const host of ['127.0.0.1', '::1']) {
      const visitor = visit(router.port, KEYS, host)
      await until(`an answer over ${host}`, () => visitor.frames.length === 1)
      expect(visitor).toMatchObject({ frames: ['hello'], downs: [], ups: 1 })
    }
    expect(router.denied).toBe(0)
  })

  it.each<[string, RunKeys]>([
    ['with another secret', OTHER],
    ['who knows the public key of the head', { server: KEYS.server, client: OTHER.client }],
  ])('a peer %s gets nothing in and nothing out, and is counted', async (_, keys) => {
    const { router, heard } = await echo()
    const visitor = visit(router.port, keys)
    await until('the news', () => visitor.downs.length === 1)
    const downs = [expect.stringMatching(/let us not in|disc/)]
    expect(visitor).toMatchObject({ frames: [], ups: 0, downs })
    await until('the count', () => router.denied === 1)
    const friend = visit(router.port, KEYS)
    await until('the friend', () => friend.frames.length === 1)
    expect([heard, router.denied]).toEqual([['hello'], 1])
  })

  it('an impostor of a head learns nothing: the handshake fails before the first frame', async () => {
    const { router, heard } = await echo(OTHER)
    const visitor = visit(router.port, KEYS)
    await until('the news', () => visitor.downs.length === 1)
    expect([heard, visitor.frames, visitor.ups]).toEqual([[], [], 0])
  })

  it('what is no ZMTP, and what says nothing, is closed and counted', async () => {
    const { router, heard } = await echo()
    const closed: string[] = []
    const knock = (name: string, text: string): Socket => {
      const socket = connect(router.port, '127.0.0.1')
      socket.on('error', () => {}).on('close', () => closed.push(name))
      socket.write(text)
      socket.resume()
      cleanups.push(() => socket.destroy())
      return socket
    }
    knock('http', `GET / HTTP/1.1\r\nHost: x\r\n\r\n${'x'.repeat(200)}`)
    knock('mute', '')
    await until('both closed', () => closed.length === 2)
    await until('both counted', () => router.denied === 2)
    expect(heard).toEqual([])
  }, 20_000)
})

describe('the count of the denied', () => {
  it('is arrivals without a handshake, whatever the order of events', () => {
    fc.assert(fc.property(fc.array(fc.constantFrom('in', 'error', 'mute'), { maxLength: 40 }), (visits) => {
      const door = new Door(100)
      let now = 0
      for (const visit of visits) {
        door.came(now++)
        if (visit === 'in') door.gotIn()
        if (visit === 'error') door.refused()
      }
      const strangers = visits.filter((visit) => visit !== 'in').length
      expect(door.denied(now + 101)).toBe(strangers)
    }))
  })
})
