/**
 * The README cannot lie: what its console blocks show is typed for real, in a scratch project that has this
 * checkout as its `rankzero`, and what comes out must have the shape that is shown.
 *
 * In a `console` block `$ ` begins a command and what follows is its output, with stderr. `…` stands for
 * any text in a line and, alone, for any lines. A `js` or `py` block begins with its file name. `text` blocks
 * are pictures; other kinds are refused. Ids, paths and most numbers are generalised; counts of points, ranks
 * and exit statuses are not.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pendingDirs, shmDir } from '../lib/journal/index.ts'
import * as limits from '../lib/limits.ts'
import { API_KEY } from './comet/kit.ts'
import { spawnStandIn, type Spawned } from './comet/process.ts'
import { CLI, Place } from './scenario/harness.ts'

const ROOT = join(import.meta.dirname, '..')
const fromRoot = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const readme = fromRoot('README.md')

interface Block { language: string; line: number; text: string }
interface Command { command: string; shown: string }

const blocks: Block[] = [...readme.matchAll(/^```(.*)\n([^]*?)^```$/gm)].map((match) => ({
  language: match[1]!, text: match[2]!, line: readme.slice(0, match.index).split('\n').length + 1,
}))
const prose = readme.replace(/^```.*\n[^]*?^```$/gm, '').replace(/\s+/g, ' ')

function commandsOf(text: string): Command[] {
  return text.split(/^\$ /m).slice(1).map((part) => {
    const end = part.indexOf('\n')
    return { command: part.slice(0, end), shown: part.slice(end + 1) }
  })
}

/** What continuous integration itself has done before this test runs; once is enough. */
const isInstall = (command: string): boolean => /^npm install( \S+)?$/.test(command)
const withoutInstall = (command: string): string =>
  command.split(' && ').filter((part) => !isInstall(part)).join(' && ')

/** Commands start in a second, and in many on a machine that is shared. */
const TYPING_MS_MAX = 300_000

/** The first line of a file that is shown. */
const FILE_NAME = /^(?:\/\/|#) (\S+)\n/

// --- what a user sees, without what differs from run to run

const NUMBER = /(?<![\w.])(\d{1,3}(?:,\d{3})+(?!\d)|\d+)(\.\d+)?(e[-+]\d+)?/g
/** Before or after these a number is a fact of the example: it stays. */
const COUNTED = /^ (logged|merged|lost|pending|points|ranks|of \d)/
const STATED = /( of|exit status|last step) $/

function shapeOf(text: string): string {
  return text
    .replaceAll(hostname(), 'node1')
    .replace(/\b\d{8}-\d{6}\.\d{3}-[0-9a-f]{6}\b/g, 'RUN')
    .replace(/(^|[\s(])\/[^\s,)]+/gm, '$1PATH')
    .replace(/\b([0-9a-f]{32}|[0-9a-f]{8})\b/g, 'HEX')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(NUMBER, (number, ...rest) => {
      const [at, all] = rest.slice(-2) as [number, string]
      const fact = COUNTED.test(all.slice(at + number.length)) || STATED.test(all.slice(0, at))
      return fact ? number : '#'
    })
    .replace(/# (ms|min # s)/g, '# s')
    .split('\n').map((line) => line.replace(/ +/g, ' ').trimEnd()).join('\n').trimEnd()
}

function matches(output: string, shown: string): boolean {
  const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const lines = shown === '' ? [] : shown.split('\n')
  const pattern = lines
    .map((line) => line === '…' ? '(.*\n)*?' : `${line.split('…').map(escape).join('.*')}\n`).join('')
  return new RegExp(`^${pattern}$`).test(output === '' ? '' : `${output}\n`)
}

// --- the machine of a new user

let place: Place
let project: string
/** In place of Comet's own. */
let comet: Spawned

beforeAll(async () => {
  comet = await spawnStandIn()
  const ofNpm = Object.keys(process.env).filter((name) => /^(npm_|INIT_CWD|NO_COLOR|FORCE_COLOR)/i.test(name))
  const cleared = [...ofNpm, 'RANKZERO_DIR', 'RANKZERO_LOCK_DIR'].map((name) => [name, undefined])
  place = new Place({
    ...Object.fromEntries(cleared), npm_config_update_notifier: 'false',
    COMET_URL_OVERRIDE: `${comet.url}/clientlib/`, COMET_API_KEY: API_KEY, COMET_WORKSPACE: 'ws',
  })
  project = join(place.root, 'first')
  const bin = join(project, 'node_modules', '.bin')
  mkdirSync(bin, { recursive: true })
  symlinkSync(ROOT, join(project, 'node_modules', 'rankzero'))
  writeFileSync(join(bin, 'rankzero'), `#!/bin/sh\nexec '${process.execPath}' '${CLI}' "$@"\n`)
  chmodSync(join(bin, 'rankzero'), 0o755)
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }')
  for (const { language, text } of blocks) {
    const name = FILE_NAME.exec(text)?.[1]
    if (name !== undefined && ['js', 'py'].includes(language)) writeFileSync(join(project, name), text)
  }
})

afterAll(async () => {
  place.dispose()
  await comet.close()
})

/** Types the commands of a block into one shell; each one's output and exit status. */
async function type(commands: readonly string[]): Promise<{ output: string; status: number }[]> {
  const inCheckout = commands.some((command) => command.startsWith('npm run'))
  const script = commands.map((command) => `${command}\nprintf '\\n@@ %s\\n' $?\n`).join('')
  const env = inCheckout ? { RANKZERO_DIR: join(place.root, 'demo') } : {}
  const shell = ['/bin/bash', '-c', `exec 2>&1\n${script}`]
  const { stdout } = await place.run(shell, env, inCheckout ? ROOT : project)
  const parts = stdout.split(/\n@@ (\d+)\n/)
  return commands.map((_, at) => ({ output: parts[2 * at] ?? '', status: Number(parts[2 * at + 1] ?? -1) }))
}

describe('what the README shows is what comes out', () => {
  test('every block is a console, a file or a picture', () => {
    const begins: Record<string, RegExp> = {
      console: /^\$ /, js: FILE_NAME, py: FILE_NAME, text: /^/,
    }
    expect(blocks.filter(({ language, text }) => !begins[language]?.test(text))).toEqual([])
    expect(readme.split('```').length - 1).toBe(2 * blocks.length)
  })

  test('what is not typed here, continuous integration does', () => {
    expect(fromRoot('.ci/run')).toMatch(/npm ci \|\| npm install[^]*npm test/)
  })

  for (const { line, text } of blocks.filter(({ language }) => language === 'console')) {
    const typed = commandsOf(text).map((one) => ({ ...one, command: withoutInstall(one.command) }))
      .filter(({ command }) => command !== '')
    test(`line ${line}: ${typed[0]?.command ?? 'installing'}`, async () => {
      const results = await type(typed.map(({ command }) => command))
      for (const [at, { command, shown }] of typed.entries()) {
        const { output, status } = results[at]!
        const [came, said] = [shapeOf(output), shapeOf(shown)]
        if (!matches(came, said)) expect(`$ ${command}\n${came}`).toBe(`$ ${command}\n${said}`)
        expect(status, command).toBe(0)
      }
    }, TYPING_MS_MAX)
  }
})

describe('what the README says is what the code says', () => {
  const seconds = (ms: number): string => `${ms / 1000} s`
  const [MiB, GiB] = [2 ** 20, 2 ** 30]
  const phrases = [
    `${limits.RING_BYTES / MiB} MiB in its ring`,
    `${limits.OVERFLOW_CAP_BYTES / MiB} MiB in overflow files`,
    `${limits.SPOOL_CAP_BYTES / GiB} GiB in its spool`,
    `waits at most ${seconds(limits.EXIT_TIMEOUT_MS)} (\`--exit-timeout\`) after your command`,
    `exit waits at most ${seconds(limits.EXIT_TIMEOUT_MS)} for deliveries`,
    `SIGTERM and, ${seconds(limits.STOP_GRACE_MS)} later, SIGKILL`,
  ]

  test.each(phrases)('%s', (phrase) => { expect(prose).toContain(phrase) })

  test('no other number with a unit is in it', () => {
    const rest = phrases.reduce((text, phrase) => text.replace(phrase, ''), prose)
    expect(rest.match(/\d+ (s|ms|[KMG]iB|[KMG]B)\b/g)).toBeNull()
    expect(limits.DRAIN_INTERVAL_MS + limits.COMMIT_INTERVAL_MS).toBeLessThan(250)
  })

  test('the Node version is that of package.json', () => {
    const { engines } = JSON.parse(fromRoot('package.json'))
    expect(`>=${/Node ([\d.]+) or newer/.exec(prose)?.[1]}`).toBe(engines.node)
  })

  test('links lead somewhere', () => {
    const targets = [...prose.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1]!)
    expect(targets.length).toBeGreaterThan(5)
    expect(targets.filter((target) => !existsSync(join(ROOT, target)))).toEqual([])
  })

  test('variables and places are those of the settings', () => {
    const settings = fromRoot('lib/config/SETTINGS.md')
    const variables = prose.match(/RANKZERO_[A-Z_]+/g) ?? []
    expect(variables.filter((name) => !settings.includes(`\`${name}\``))).toEqual([])
    for (const path of ['./rankzero', '~/.rankzero/locks']) expect(settings).toContain(`| ${path} |`)
    expect(shmDir({})).toBe(`/dev/shm/rankzero-${process.getuid?.()}`)
    expect(pendingDirs('./rankzero').map((path) => path.replace(/^.*rankzero\/(?=\.?pending)/, '')))
      .toEqual(['.pending', 'pending'])
  })

  test('options are those of the commands', async () => {
    const commands = ['run', 'status', 'export', 'audit', 'sync', 'doctor', 'console', 'drill']
    const helps = await Promise.all(commands.map((command) => place.run([command, '--help'])))
    const known = helps.map(({ stdout }) => stdout).join('')
    // What follows -- is the launcher's.
    const named = [...prose.matchAll(/`[^`]*`/g)].map(([code]) => code.split(' -- ')[0]!)
      .flatMap((code) => code.match(/--[a-z-]+/g) ?? [])
    expect(named.length).toBeGreaterThan(3)
    expect(named.filter((option) => !new RegExp(`${option}[ ,\n]`).test(known))).toEqual([])
  })
})

describe('the comparison can complain', () => {
  test.each([
    ['2 points lost', '0 points lost'],
    ['ranks 1 of 2', 'ranks 2 of 2'],
    ['exit status 1', 'exit status 0'],
    ['a 1 b', 'a 1 c'],
    ['one\ntwo', 'one'],
    ['', 'one'],
  ])('%j is not %j', (output, shown) => { expect(matches(shapeOf(output), shapeOf(shown))).toBe(false) })

  test.each([
    ['took 900 ms\nx\ny', 'took 1.7 s\n…'],
    ['rank   0  on /a/b (pid 77)', 'rank 3 on /home/ada (pid 5)'],
    ['{"value":0.5,"max":1}', '{"value":0.016,…}'],
  ])('%j has the shape of %j', (output, shown) => {
    expect(matches(shapeOf(output), shapeOf(shown))).toBe(true)
  })
})
