/** Files, references to keys, and the central document: real files, a real server. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import {
  chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { currentConfig } from '../../lib/config/central.ts'
import { checkKey, KEY_NAMES, keyVariables, resolveKeys } from '../../lib/config/keys.ts'
import { readConfig } from '../../lib/config/layers.ts'
import { findSetting, type SettingName } from '../../lib/config/settings.ts'
import { startProxy } from '../comet/proxy.ts'

const SECRET = 'canary-4711'

let root: string
let env: Record<string, string>
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rz-config-'))
  mkdirSync(join(root, 'home'))
  env = { HOME: join(root, 'home'), RANKZERO_CONFIG: join(root, 'c.json') }
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function write(name: string, what: unknown, mode = 0o600): string {
  const path = join(root, name)
  writeFileSync(path, typeof what === 'string' ? what : JSON.stringify(what), { mode })
  chmodSync(path, mode)
  return path
}

const read = () => readConfig(env, { cwd: root })
const found = (name: SettingName, { layers } = read()) => findSetting(name, { env, layers, cwd: root })
const problems = () => read().problems.map(({ code, message, remedy }) => ({ code, message, remedy }))

describe('the configuration file', () => {
  it('comes after the environment and before the default, and says where it is', () => {
    const path = write('c.json', { project: 'p', exitTimeout: 30, backend: ['comet'], jsonlDir: 'out' })
    expect(problems()).toEqual([])
    const origin = { from: 'file', place: `${path}: project` }
    expect(found('project')).toMatchObject({ value: 'p', origin })
    expect(found('exitTimeoutMs').value).toBe(30_000)
    expect(found('backend').value).toEqual(['comet'])
    expect(found('jsonlDir').value).toBe(join(root, 'out'))
    env['RANKZERO_PROJECT'] = 'e'
    expect(found('project')).toMatchObject({ value: 'e', overruled: [{ value: 'p' }] })
    const code = { project: 'c' }
    expect(findSetting('project', { code, env, layers: read().layers }).value).toBe('c')
  })

  it('is ~/.rankzero/config.json when none is named, and is not needed', () => {
    delete env['RANKZERO_CONFIG']
    expect(read()).toMatchObject({ layers: [], problems: [] })
    mkdirSync(join(root, 'home', '.rankzero'))
    write('home/.rankzero/config.json', { workspace: 'w' })
    expect(found('workspace').value).toBe('w')
  })

  it('names value, place and remedy of what is wrong in it, and goes on with the rest', () => {
    const path = write('c.json', {
      projekt: 'x', sealAfter: 'soon', cometCalls: 5, config: '/x', workspace: 'good', zzz: 1,
    })
    expect(problems()).toEqual([
      { code: 'CONFIG', message: `${path}: projekt is no setting`, remedy: 'is project meant?' },
      { code: 'CONFIG', message: expect.stringContaining(`${path}: sealAfter is 'soon': `),
        remedy: expect.stringContaining('as seconds') },
      { code: 'CONFIG', message: expect.stringContaining(`${path}: cometCalls is 5: `),
        remedy: expect.stringContaining('15000/3600') },
      { code: 'CONFIG', message: expect.stringContaining(`${path}: config: `),
        remedy: expect.any(String) },
      { code: 'CONFIG', message: `${path}: zzz is no setting`,
        remedy: expect.stringContaining('config show') },
    ])
    expect(found('workspace').value).toBe('good')
    expect(found('sealAfterMs').origin.from).toBe('default')
  })

  it.each([
    ['cut off', '{ "project": "p", "cometApiKey": "canary-4711'], ['no object', '[1]'], ['nothing', ''],
    ['a number', '7'],
  ])('is refused when it is %s, without a word of it', (_, text) => {
    const path = write('c.json', text)
    const [problem] = problems()
    expect(problem).toMatchObject({ code: 'CONFIG', message: expect.stringMatching(`^${path}: it is no `) })
    expect(JSON.stringify(problem)).not.toContain(SECRET)
  })

  it('is an error when it was named and is not there, or is no plain file', () => {
    expect(problems()).toMatchObject([{ message: expect.stringContaining('ENOENT') }])
    env['RANKZERO_CONFIG'] = root
    expect(problems()).toHaveLength(1)
  })
})

describe('a key', () => {
  const keys = () => resolveKeys({ env, layers: read().layers }, KEY_NAMES)

  it('is taken from variable, file or command, and the reference is all that a setting has', async () => {
    write('key', `  ${SECRET}\n`)
    write('c.json', {
      cometApiKey: { env: 'MY_KEY' }, webhookUrl: { file: 'key' },
      webhookSecret: { command: ['sh', '-c', `echo ${SECRET}`] },
    })
    env['MY_KEY'] = SECRET
    const value = { value: SECRET }
    expect(await keys()).toEqual({ cometApiKey: value, webhookUrl: value, webhookSecret: value })
    expect(found('webhookUrl').value).toEqual({ file: join(root, 'key') })
    expect(keyVariables({ env, layers: read().layers })).toContain('MY_KEY')
    env['COMET_API_KEY'] = 'other'
    expect(found('cometApiKey').value).toEqual({ env: 'COMET_API_KEY' })
    expect((await keys()).cometApiKey).toEqual({ value: 'other' })
  })

  it('may stand in a file that only its owner can read', async () => {
    const path = write('c.json', { cometApiKey: SECRET })
    expect(found('cometApiKey').value).toEqual({ file: path, at: 'cometApiKey' })
    expect((await keys()).cometApiKey).toEqual({ value: SECRET })
    chmodSync(path, 0o644)
    const [problem] = problems()
    expect(problem).toMatchObject({ message: expect.stringContaining('mode 644') })
    expect(problem!.remedy).toContain(`chmod 600 ${path}`)
    expect(JSON.stringify(problem)).not.toContain(SECRET)
    expect(found('cometApiKey').value).toBeNull()
  })

  it('is not taken by a command in a file that others may write', () => {
    const path = write('c.json', { cometApiKey: { command: ['true'] } }, 0o666)
    expect(problems()).toMatchObject([{ remedy: `chmod go-w ${path}` }])
  })

  it.each([
    [{ env: 'NOT_THERE' }, /NOT_THERE.* not set/], [{ file: 'no-file' }, /no-file/],
    [{ file: 'empty' }, /empty/], [{ file: 'two' }, /more than one line/],
    [{ command: ['sh', '-c', `echo ${SECRET} >&2; exit 3`] }, /exits with 3/],
    [{ command: ['/no/such/program', SECRET] }, /exits with 127/],
  ])('%j: says why it is not there, without it', async (cometApiKey, why) => {
    write('empty', ' \n')
    write('two', `${SECRET}\n${SECRET}`)
    write('c.json', { cometApiKey })
    const { cometApiKey: key } = await keys()
    expect(key).toMatchObject({ why: expect.stringMatching(why) })
    expect(JSON.stringify(key)).not.toContain(SECRET)
  })

  it.each([['"canary"'], [5], [{}], [{ env: 'A', file: 'b' }], [{ env: 'a b' }], [{ command: [] }],
    [{ value: SECRET }], [null]])('%j is no reference', (webhookUrl) => {
    write('c.json', { webhookUrl }, typeof webhookUrl === 'string' ? 0o644 : 0o600)
    expect(problems()).toHaveLength(1)
    expect(JSON.stringify(problems())).not.toContain('canary')
  })

  it('that is sure to be missing is known before anything starts', () => {
    write('c.json', { cometApiKey: { env: 'NOT_THERE' }, webhookUrl: { file: 'no-file' } })
    const sources = { env, layers: read().layers }
    expect(() => checkKey('cometApiKey', sources, false)).toThrow(/NOT_THERE is not set/)
    expect(() => checkKey('webhookUrl', sources, false)).toThrow(/no file/)
    expect(() => checkKey('webhookSecret', sources, true)).toThrow(/nothing says where/)
    expect(() => checkKey('webhookSecret', sources, false)).not.toThrow()
  })
})

describe('.comet.config', () => {
  const INI = `# mine
[comet]
api_key = "${SECRET}"   # quoted
workspace=team  ; mine
project_name = vision
url_override = https://comet.example.com/clientlib/
logging_file =
[comet_start]
experiment_tags = a, b
`
  beforeEach(() => { delete env['RANKZERO_CONFIG'] })

  it('says what its variables say, after our own file', async () => {
    const path = write('home/.comet.config', INI)
    const { problems, layers } = read()
    expect(problems).toEqual([])
    const all = (['project', 'workspace', 'tags', 'cometUrl'] as const).map((name) => found(name).value)
    expect(all).toEqual(['vision', 'team', ['a', 'b'], 'https://comet.example.com/clientlib/'])
    expect(found('workspace').origin).toEqual({ from: 'file', place: `${path}: [comet] workspace` })
    expect((await resolveKeys({ env, layers }, KEY_NAMES)).cometApiKey).toEqual({ value: SECRET })
    env['RANKZERO_CONFIG'] = write('c.json', { project: 'ours' })
    expect(found('project')).toMatchObject({ value: 'ours', overruled: [{ value: 'vision' }] })
  })

  it('is looked for as the SDK does: COMET_CONFIG, here, at home', () => {
    write('home/.comet.config', '[comet]\nworkspace = home\nproject_name = home\n')
    write('.comet.config', '[comet]\nworkspace = here\n')
    expect([found('workspace').value, found('project').value]).toEqual(['here', 'home'])
    mkdirSync(join(root, 'folder'))
    write('folder/.comet.config', '[comet]\nworkspace = named\n')
    env['COMET_CONFIG'] = 'folder'
    expect(found('workspace').value).toBe('named')
  })

  it('that others can read keeps its key, and the rest of it counts', async () => {
    const path = write('home/.comet.config', INI, 0o644)
    const sources = { env, layers: read().layers }
    expect(found('workspace').value).toBe('team')
    expect(() => checkKey('cometApiKey', sources, false)).toThrow(/mode 644/)
    const { cometApiKey } = await resolveKeys(sources, ['cometApiKey'])
    expect(cometApiKey).toMatchObject({ why: expect.stringContaining(`chmod 600 ${path}`) })
  })
})

describe('the central document', () => {
  /** What it answers by path; null: nothing, ever. */
  let pages: Record<string, { status?: number; body: Buffer | string; location?: string } | null>
  let asked: { url: string; etag: string | undefined }[]
  let server: Server
  beforeEach(async () => {
    pages = {}
    asked = []
    server = createServer(({ url = '', headers }, response) => {
      asked.push({ url, etag: headers['if-none-match'] })
      const page = pages[url]
      if (page === null) return
      const body = Buffer.from(page?.body ?? '')
      const etag = `"${createHash('sha256').update(body).digest('hex')}"`
      const known = headers['if-none-match'] === etag
      const more = page?.location === undefined ? {} : { location: page.location }
      response.writeHead(page === undefined ? 404 : known ? 304 : page.status ?? 200, { etag, ...more })
      response.end(known ? undefined : body)
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const { port } = server.address() as AddressInfo
    env['RANKZERO_CONFIG_URL'] = `http://127.0.0.1:${port}/c.json`
    delete env['RANKZERO_CONFIG']
  })
  afterEach(() => {
    server.closeAllConnections()
    server.close()
  })

  const page = (settings: object): void => { pages['/c.json'] = { body: JSON.stringify(settings) } }
  const project = async (): Promise<unknown> => found('project', await currentConfig(env)).value

  it('comes through the proxy of the environment, by its credentials', async () => {
    page({ project: 'central' })
    const proxy = await startProxy('user:right')
    try {
      const by = (password: string): string => `http://user:${password}@127.0.0.1:${proxy.port}`
      env['HTTP_PROXY'] = by('wrong')
      const refused = await currentConfig(env)
      expect(refused).toMatchObject({ stale: expect.stringContaining('407') as string, problems: [{}] })
      expect(JSON.stringify(refused.problems.map(String))).not.toContain('wrong@')
      expect(asked).toEqual([])
      env['HTTP_PROXY'] = by('right')
      expect(await project()).toBe('central')
      const { host } = new URL(env['RANKZERO_CONFIG_URL']!)
      expect(proxy.asked).toEqual([{ target: host, let: false }, { target: host, let: true }])
      env['NO_PROXY'] = '127.0.0.1'
      expect(await project()).toBe('central')
      expect([asked.length, proxy.asked.length]).toEqual([2, 2])
    } finally {
      proxy.close()
    }
  })

  it('comes after the file, is kept privately, and is asked for by its ETag', async () => {
    page({ project: 'central', workspace: 'central' })
    const path = join(root, 'home', '.rankzero')
    mkdirSync(path)
    write('home/.rankzero/config.json', { workspace: 'file' })
    const config = await currentConfig(env)
    expect(config).toMatchObject({ problems: [], stale: null })
    expect(found('project', config)).toMatchObject({ value: 'central', origin: { from: 'url' } })
    expect(found('workspace', config)).toMatchObject({ value: 'file', overruled: [{ value: 'central' }] })
    const [copy] = readdirSync(join(path, 'central'))
    expect(statSync(join(path, 'central', copy!)).mode & 0o777).toBe(0o600)
    expect(statSync(join(path, 'central')).mode & 0o777).toBe(0o700)
    expect(await project()).toBe('central')
    expect(asked.map(({ etag }) => etag === undefined)).toEqual([true, false])
    page({ project: 'newer' })
    expect(await project()).toBe('newer')
    // Whoever asks nobody reads the copy, as does a daemon while it is fresh.
    expect(found('project').value).toBe('newer')
    await currentConfig(env, 60_000)
    expect(asked).toHaveLength(3)
  })

  const WAYS = ['gone', 'broken', 'too large', 'moved']
  it.each(WAYS)('is used from the copy when its server is %s', async (how) => {
    page({ project: 'central' })
    await currentConfig(env)
    if (how === 'gone') {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    } else if (how === 'broken') pages['/c.json'] = { status: 500, body: 'oops' }
    else if (how === 'too large') page({ project: 'x'.repeat(2 ** 20) })
    else pages['/c.json'] = { status: 302, body: '', location: '/other.json' }
    pages['/other.json'] = { body: '{ "project": "elsewhere" }' }
    const config = await currentConfig(env)
    expect(found('project', config).value).toBe('central')
    expect(config.stale).toEqual(expect.any(String))
    expect(config.problems).toEqual([])
  })

  it('is not waited for without end, and without a copy it is an error', async () => {
    pages['/c.json'] = null
    const config = await currentConfig(env)
    expect(config).toMatchObject({ stale: 'no answer within 5 s', problems: [{ code: 'CONFIG' }] })
    expect(config.problems[0]!.message).toContain(env['RANKZERO_CONFIG_URL'])
  }, 20_000)

  it('is taken by https only from another host', async () => {
    env['RANKZERO_CONFIG_URL'] = 'http://config.example.com/c.json'
    expect((await currentConfig(env)).problems[0]!.message).toContain('only https')
  })

  it('holds no key, no relative path, and not where it is', async () => {
    page({ cometApiKey: SECRET, secretFile: 'here', webhookUrl: { file: 'here' }, configUrl: 'http://x/' })
    const { problems } = await currentConfig(env)
    expect(problems.map(({ message }) => message.slice(env['RANKZERO_CONFIG_URL']!.length))).toEqual([
      expect.stringContaining('a key has no place'), expect.stringContaining('absolute'),
      expect.stringContaining('absolute'), expect.stringContaining('cannot say where'),
    ])
    expect(JSON.stringify(problems.map(({ message, remedy }) => [message, remedy]))).not.toContain(SECRET)
  })

  it('is nothing but what was pinned', async () => {
    page({ project: 'pinned', cometApiKey: { command: ['echo', SECRET] } })
    const digest = createHash('sha256').update(pages['/c.json']!.body).digest('hex')
    expect((await currentConfig(env)).problems[0]).toMatchObject({
      message: expect.stringContaining('cometApiKey'), remedy: expect.stringContaining('configSha256'),
    })
    env['RANKZERO_CONFIG_SHA256'] = digest
    const config = await currentConfig(env)
    expect(config.problems).toEqual([])
    const keys = await resolveKeys({ env, layers: config.layers }, ['cometApiKey'])
    expect(keys.cometApiKey).toEqual({ value: SECRET })
    page({ project: 'other' })
    const other = await currentConfig(env)
    expect(found('project', other).value).toBe('pinned')
    expect(other.stale).toContain(digest)
    // A copy that was changed on the way is none.
    env['RANKZERO_CONFIG_SHA256'] = '0'.repeat(64)
    expect((await currentConfig(env)).problems).toHaveLength(1)
    expect(found('project').value).toBe('default')
  })

  it('is nothing but what was signed', async () => {
    const pair = generateKeyPairSync('ed25519')
    const der = pair.publicKey.export({ format: 'der', type: 'spki' })
    const text = { project: 'signed' }
    page(text)
    pages['/c.json.sig'] = { body: sign(null, Buffer.from(JSON.stringify(text)), pair.privateKey) }
    for (const key of [der, der.subarray(-32)]) {
      env['RANKZERO_CONFIG_PUBLIC_KEY'] = key.toString('base64')
      expect(await project()).toBe('signed')
    }
    const stranger = generateKeyPairSync('ed25519').privateKey
    page({ project: 'forged' })
    const other = sign(null, Buffer.from(pages['/c.json']!.body), stranger)
    pages['/c.json.sig'] = { body: other.toString('base64') }
    const config = await currentConfig(env)
    expect(found('project', config).value).toBe('signed')
    expect(config.stale).toContain('not of configPublicKey')
    delete pages['/c.json.sig']
    expect((await currentConfig(env)).stale).toContain('.sig')
    env['RANKZERO_CONFIG_PUBLIC_KEY'] = 'nonsense'
    expect((await currentConfig(env)).problems).toHaveLength(1)
  })
})
