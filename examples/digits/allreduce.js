// Sums a vector over all ranks through rank 0, on loopback TCP: what NCCL or Gloo does for a real trainer.
// rankzero has no part in it; a rank that leaves early makes the others fail, as it would there.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const CONNECT_TRIES = 200
const CONNECT_PAUSE_MS = 50

/** Reads exactly as many bytes as asked for from a socket; one read at a time. */
class Peer {
  #chunks = []
  #bytes = 0
  #gone = null
  #waiter = null

  constructor(socket, name) {
    this.socket = socket
    this.name = name
    socket.setNoDelay(true)
    socket.on('data', (chunk) => { this.#chunks.push(chunk); this.#bytes += chunk.length; this.#waiter?.() })
    socket.on('error', (error) => { this.#gone ??= error; this.#waiter?.() })
    socket.on('close', () => { this.#gone ??= new Error('connection closed'); this.#waiter?.() })
  }

  async read(bytes) {
    while (this.#bytes < bytes) {
      if (this.#gone) throw new Error(`all-reduce: ${this.name} left`, { cause: this.#gone })
      await new Promise((resolve) => { this.#waiter = resolve })
    }
    const all = Buffer.concat(this.#chunks)
    this.#chunks = [all.subarray(bytes)]
    this.#bytes -= bytes
    return all.subarray(0, bytes)
  }

  /** A vector of this length, copied: the bytes that arrive need not be aligned. */
  async readVector(length) {
    const bytes = await this.read(length * 8)
    return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + length * 8))
  }

  writeVector(vector) {
    this.socket.write(Buffer.from(vector.slice().buffer))
  }
}

async function acceptPeers({ worldSize, host, port }) {
  const peers = new Array(worldSize - 1)
  const server = createServer()
  const full = new Promise((resolve, reject) => {
    let joined = 0
    server.on('error', reject)
    server.on('connection', async (socket) => {
      const peer = new Peer(socket, 'a rank')
      const rank = (await peer.read(1))[0]
      peer.name = `rank ${rank}`
      peers[rank - 1] = peer
      if (++joined === worldSize - 1) resolve()
    })
  })
  server.listen(port, host)
  await full
  server.close()
  return peers
}

async function connectToHub({ rank, host, port }) {
  for (let tries = 1; ; tries++) {
    const socket = connect(port, host)
    try {
      await once(socket, 'connect')
      socket.write(Buffer.of(rank))
      return new Peer(socket, 'rank 0')
    } catch (error) {
      if (tries === CONNECT_TRIES) throw error
      await sleep(CONNECT_PAUSE_MS)
    }
  }
}

/** Returns `{ sum, close }`; `await sum(vector)` replaces it by its sum over the ranks, in rank order. */
export async function joinGroup({ rank, worldSize, host, port }) {
  if (worldSize === 1) return { sum: async () => {}, close: () => {} }
  if (rank > 0) {
    const hub = await connectToHub({ rank, host, port })
    return {
      async sum(vector) {
        hub.writeVector(vector)
        vector.set(await hub.readVector(vector.length))
      },
      close: () => hub.socket.end(),
    }
  }
  const peers = await acceptPeers({ worldSize, host, port })
  return {
    async sum(vector) {
      for (const peer of peers) {
        const part = await peer.readVector(vector.length)
        for (let i = 0; i < vector.length; i++) vector[i] += part[i]
      }
      for (const peer of peers) peer.writeVector(vector)
    },
    close: () => { for (const peer of peers) peer.socket.end() },
  }
}
