/** Proxies that companies run: tinyproxy, and squid that breaks TLS open. */
import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { begin, sleep, type Started } from '../scenario/harness.ts'

export interface Proxy {
  /** `127.0.0.1:port`. */
  at: string
  close(): Promise<void>
}

const START_MS = 30_000
const STOP_MS = 10_000
/** Between looking for a free port and taking it, somebody else may. */
const TRIES = 5

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done) })
  const { port } = server.address() as AddressInfo
  await new Promise((done) => { server.close(done) })
  return port
}

const answers = (port: number): Promise<boolean> => new Promise((done) => {
  const socket = connect(port, '127.0.0.1', () => {
    socket.destroy()
    done(true)
  }).on('error', () => { done(false) })
})

/** A program that listens on the port that it is given. */
async function start(launch: (port: number) => string[]): Promise<Proxy> {
  for (let left = TRIES; ; left--) {
    const port = await freePort()
    const started = begin(launch(port), {})
    const until = performance.now() + START_MS
    while (started.child.exitCode === null && performance.now() < until) {
      if (await answers(port)) return { at: `127.0.0.1:${port}`, close: () => stop(started) }
      await sleep(20)
    }
    await stop(started)
    const { stdout, stderr } = await started.ended
    if (left === 1) throw new Error(`no proxy: ${stdout}${stderr}`)
  }
}

async function stop({ child, ended }: Started): Promise<void> {
  child.kill()
  const late = setTimeout(() => { child.kill('SIGKILL') }, STOP_MS)
  await ended
  clearTimeout(late)
}

/** `credentials`: `user:password`. */
export const startTinyproxy = (dir: string, credentials: string | null): Promise<Proxy> => start((port) => {
  const file = join(dir, `tinyproxy-${port}.conf`)
  const auth = credentials === null ? '' : `BasicAuth ${credentials.replace(':', ' ')}\n`
  writeFileSync(file, `Port ${port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 600\n${auth}`)
  return ['tinyproxy', '-d', '-c', file]
})

/**
 * It shows certificates by a CA of its own, named `Intercepting CA`, in the place of the server's, which it
 * must know by `originCa`. `ca`: the file that clients must know.
 */
export async function startSquid(
  dir: string, originCa: string, credentials: string,
): Promise<Proxy & { ca: string }> {
  const of = (file: string): string => join(dir, file)
  const [user, password] = credentials.split(':') as [string, string]
  const openssl = (...args: string[]): string =>
    execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' })
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', of('bump.key'),
    '-out', of('bump-ca.pem'), '-subj', '/CN=Intercepting CA', '-addext',
    'keyUsage=critical,keyCertSign,cRLSign')
  const both = ['bump-ca.pem', 'bump.key'].map((file) => readFileSync(of(file), 'utf8')).join('')
  writeFileSync(of('bump.pem'), both)
  writeFileSync(of('users'), `${user}:${openssl('passwd', '-apr1', password)}`)
  writeFileSync(of('origin-ca.pem'), readFileSync(originCa))
  execFileSync('/usr/lib/squid/security_file_certgen', ['-c', '-s', of('certs'), '-M', '4MB'])
  // It gives up being root.
  chmodSync(dir, 0o755)
  if (process.getuid?.() === 0) execFileSync('chown', ['-R', 'proxy:', dir])
  const proxy = await start((port) => {
    writeFileSync(of('squid.conf'), SQUID.replaceAll('DIR', dir).replaceAll('PORT', `${port}`))
    // Names of what it shares with its parts are made of this one.
    return ['squid', '-N', '-n', `rz${port}`, '-f', of('squid.conf')]
  })
  return { ...proxy, ca: of('bump-ca.pem') }
}

const SQUID = `
http_port 127.0.0.1:PORT ssl-bump cert=DIR/bump.pem generate-host-certificates=on
sslcrtd_program /usr/lib/squid/security_file_certgen -s DIR/certs -M 4MB
sslcrtd_children 1
acl step1 at_step SslBump1
ssl_bump peek step1
ssl_bump bump all
tls_outgoing_options cafile=DIR/origin-ca.pem
auth_param basic program /usr/lib/squid/basic_ncsa_auth DIR/users
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
cache deny all
visible_hostname lab
shutdown_lifetime 0 seconds
pid_filename DIR/squid.pid
access_log stdio:DIR/access.log
cache_log DIR/cache.log
coredump_dir DIR
`
