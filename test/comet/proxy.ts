/** A proxy that wants credentials and leads by CONNECT; a front that speaks TLS by a CA of its own. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'

export interface Middle {
  port: number
  /** What it was asked for (of TLS: in so many words), and whether it let it. */
  asked: { target: string; let: boolean }[]
  close(): void
}

async function listen(server: Server, asked: Middle['asked'], sockets: Set<Socket>): Promise<Middle> {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const close = (): void => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return { port: (server.address() as AddressInfo).port, asked, close }
}

function both(a: Socket, b: Socket): void {
  for (const [from, to] of [[a, b], [b, a]] as const) {
    from.on('error', () => to.destroy())
    from.pipe(to)
  }
}

/** `credentials`: `user:password`. */
export function startProxy(credentials: string): Promise<Middle> {
  const asked: Middle['asked'] = []
  const wanted = `Basic ${Buffer.from(credentials).toString('base64')}`
  const server = createServer()
  server.on('connect', (request, socket: Socket, head: Buffer) => {
    const isLet = request.headers['proxy-authorization'] === wanted
    asked.push({ target: request.url ?? '', let: isLet })
    if (!isLet) return void socket.end('HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n')
    const [host, port] = (request.url ?? '').split(':')
    const upstream = connect(Number(port), host!, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      upstream.write(head)
      both(socket, upstream)
    })
    upstream.on('error', () => socket.destroy())
  })
  return listen(server, asked, new Set())
}

/** Of `url`, for the name localhost. `ca`: the file that clients must know, of a CA of this name. */
export async function startTls(
  url: string, dir: string, name = 'Company CA',
): Promise<Middle & { ca: string }> {
  const of = (file: string): string => join(dir, file)
  const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { stdio: 'pipe' })
  const fresh = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2']
  openssl('req', ...fresh, '-keyout', of('ca.key'), '-out', of('ca.pem'), '-subj', `/CN=${name}`)
  openssl('req', ...fresh, '-keyout', of('key.pem'), '-out', of('cert.pem'), '-subj', '/CN=localhost',
    '-CA', of('ca.pem'), '-CAkey', of('ca.key'), '-addext', 'subjectAltName=DNS:localhost')
  const [key, cert] = ['key.pem', 'cert.pem'].map((file) => readFileSync(of(file)))
  const asked: Middle['asked'] = []
  const server = createTlsServer({ key: key!, cert: cert! }, (socket) => {
    socket.once('data', (bytes: Buffer) => { asked.push({ target: bytes.toString('latin1'), let: true }) })
    const { hostname, port } = new URL(url)
    both(socket, connect(Number(port), hostname))
  })
  return { ...await listen(server, asked, new Set()), ca: of('ca.pem') }
}
