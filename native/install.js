// After `npm install`: builds what came without a ready-made file. It never fails an install: it says what is
// missing, what works all the same, and what to do. `node native/install.js` may be run again by hand.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const { optionalDependencies } = JSON.parse(readFileSync(join(here, '..', 'package.json'), 'utf8'))
const sqlite = `better-sqlite3@${optionalDependencies['better-sqlite3']}`
// Out of npm's sight: an optional package that npm could not build, it removes again at every later install.
const ownCopy = join(here, 'build', 'sqlite')

const say = (text) => console.log(`rankzero: ${text}`)

/**
 * As lib/ledger looks for it: our own copy first, then npm's. In a process of its own: a copy that was built
 * for another Node may crash, and Node remembers what it once did not find.
 */
function sqliteLoads() {
  const open = "new (require('module').createRequire(process.argv[1])('better-sqlite3'))(':memory:').close()"
  return spawnSync(process.execPath, ['-e', open, join(ownCopy, 'any.js')]).status === 0
}

function hasNodeSqlite() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return major > 22 || (major === 22 && minor >= 13)
}

/** The prefix of the running Node, if Node's own headers, of this very ABI, are there. */
function headersPrefix() {
  const prefix = dirname(dirname(realpathSync(process.execPath)))
  const header = join(prefix, 'include', 'node', 'node_version.h')
  if (!existsSync(header)) return null
  const abi = /#define NODE_MODULE_VERSION (\d+)/.exec(readFileSync(header, 'utf8'))?.[1]
  return abi === process.versions.modules ? prefix : null
}

/**
 * better-sqlite3 downloads a built file from GitHub, or Node's headers from nodejs.org. Where neither can be
 * reached, npm has dropped it by now. The headers that came with Node do as well, if node-gyp is told of
 * them.
 */
function compileSqlite(prefix) {
  say(`compiling ${sqlite} with the headers in ${prefix}: 1 to 3 minutes, once`)
  const cli = process.env.npm_execpath ?? ''
  const npm = cli.endsWith('npm-cli.js') ? [process.execPath, cli] : ['npm']
  const args = ['install', sqlite, '--prefix', ownCopy, '--global=false', '--no-save', '--no-package-lock']
  rmSync(ownCopy, { recursive: true, force: true })
  mkdirSync(ownCopy, { recursive: true })
  const { status, stdout, stderr } = spawnSync(npm[0], [...npm.slice(1), ...args], {
    cwd: ownCopy,
    encoding: 'utf8',
    env: { ...process.env, npm_config_nodedir: prefix, JOBS: 'max' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (status === 0 && sqliteLoads()) return true
  rmSync(ownCopy, { recursive: true, force: true })
  say(`that failed:\n${`${stdout ?? ''}${stderr ?? ''}`.trim().split('\n').slice(-12).join('\n')}`)
  return false
}

spawnSync(process.execPath, [join(here, 'build.js')], { stdio: 'inherit' })
if (!sqliteLoads()) {
  const prefix = headersPrefix()
  if (!(prefix && compileSqlite(prefix))) {
    say(hasNodeSqlite()
      ? `${sqlite} has no built file here; the ledger uses Node's own node:sqlite.`
      : `${sqlite} has no built file here: this machine cannot hold a ledger, it can only log to another.`
        + ' Install g++, make and python3 and run "npm rebuild rankzero", or use Node 22.13 or newer.')
  }
}
