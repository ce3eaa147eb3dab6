/**
 * Tidiness as a test: the laws of DESIGN 14 as tables, over sources as a parser sees them.
 *
 * A check is a function from sources to complaints; its self-test shows a source that it complains about.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import { describe, expect, test } from 'vitest'
import { parseSync } from 'vite'

const ROOT = join(import.meta.dirname, '..')
const FILE_LINES_MAX = 400
const FUNCTION_LINES_MAX = 70
const COLUMNS_MAX = 110
const README_LINES_MAX = 200
const README_CODE_BEFORE = 40

/** From the ground up: a room (or a lone file of lib/) imports only what stands above it here, and itself. */
const ORDER = [
  'errors.ts', 'limits.ts', 'limits-console.ts', 'limits-comet.ts', 'limits-config.ts', 'limits-outbox.ts',
  'limits-asset.ts', 'clock.ts', 'files.ts', 'package.ts', 'aside.ts', 'http.ts', 'rank', 'record', 'config',
  'native.ts', 'journal', 'spawn.ts', 'diary.ts', 'artifact', 'logger', 'wire', 'ledger', 'lock',
  'transport', 'agent', 'backend', 'session', 'aggregator', 'launch', 'cli', 'index.ts',
]
/** The only rooms that may name a library; every library that lib/ uses is here. */
const LIBRARIES: Record<string, string[]> = {
  'async-mutex': ['lock', 'session'],
  'better-sqlite3': ['ledger'],
  'commander': ['cli'],
  'msgpackr': ['wire'],
  'node:sqlite': ['ledger'],
  'undici': ['backend', 'config'],
  'zeromq': ['transport'],
  'zod': ['config', 'wire'],
}
const PURE = [
  'errors.ts', 'limits.ts', 'limits-asset.ts', 'limits-comet.ts', 'limits-config.ts', 'limits-console.ts',
  'limits-outbox.ts', 'rank', 'record', 'wire',
]
const CLOCKS = ['Date.now', 'performance.now', 'process.hrtime', 'new Date()', 'setTimeout', 'setInterval']

// --- sources

interface Source { path: string; text: string }
interface Node { type: string; start: number; end: number; [key: string]: unknown }

function readSources(folder: string): Source[] {
  if (!existsSync(join(ROOT, folder))) return []
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(ts|js|c|h|py)$/.test(path) && !/(^|\/)(build|node_modules)\//.test(path))
    .map((path) => ({ path: join(folder, path), text: readFileSync(join(ROOT, folder, path), 'utf8') }))
}

const isScript = ({ path }: Source): boolean => /\.(ts|js)$/.test(path)
const isNode = (value: unknown): value is Node => typeof (value as Node | null)?.type === 'string'

const parsed = new WeakMap<Source, Node>()

function parse(source: Source): Node {
  let program = parsed.get(source)
  if (!program) {
    const result = parseSync(source.path, source.text)
    expect(result.errors, source.path).toEqual([])
    program = result.program as unknown as Node
    parsed.set(source, program)
  }
  return program
}

/** Every node with its parents, innermost last. */
function walk(node: Node, visit: (node: Node, parents: Node[]) => void, parents: Node[] = []): void {
  visit(node, parents)
  parents.push(node)
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) walk(child, visit, parents)
  }
  parents.pop()
}

const lineOf = ({ text }: Source, offset: number): number => text.slice(0, offset).split('\n').length

/** What a file imports, by any means: statements (types too), `import()`, and types written `import('…')`. */
function importsOf(source: Source): { name: string; typeOnly: boolean }[] {
  const found: { name: string; typeOnly: boolean }[] = []
  walk(parse(source), (node) => {
    const from = node.type === 'TSImportType' ? node.argument ?? node.source : node.source
    const literal = isNode(from) && from.type === 'TSLiteralType' ? from.literal : from
    if (!isNode(literal) || typeof literal.value !== 'string') return
    const typeOnly = node.type === 'TSImportType' || node.importKind === 'type' || node.exportKind === 'type'
    found.push({ name: literal.value, typeOnly })
  })
  return found
}

/** `lib/wire/frames.ts` is of room `wire`, `lib/errors.ts` is its own. */
const roomOf = (path: string): string => path.split('/')[1] ?? ''
const resolveFrom = (source: Source, name: string): string => join(dirname(source.path), name)
const isPure = (path: string): boolean => PURE.includes(roomOf(path)) || /(^|\/)core[^/]*\.ts$/.test(path)

/** Modules named by a whole string literal: catches `require('x')` and `createRequire(…)('x')` as well. */
function literalsOf(source: Source): string[] {
  const found: string[] = []
  walk(parse(source), (node) => {
    if (node.type === 'Literal' && typeof node.value === 'string') found.push(node.value)
  })
  return found
}

// --- checks: sources in, complaints out

function roomOrder(sources: Source[]): string[] {
  const storey = (path: string): number => ORDER.indexOf(roomOf(path))
  return sources.flatMap((source) => {
    if (storey(source.path) < 0) return [`${source.path}: its room is not in the order of rooms`]
    return importsOf(source)
      .filter(({ name }) => name.startsWith('.') && storey(resolveFrom(source, name)) > storey(source.path))
      .map(({ name }) => `${source.path} imports ${name}, which stands below it`)
  })
}

function importCycles(sources: Source[]): string[] {
  const edges = new Map(sources.map((source) =>
    [source.path, importsOf(source).map(({ name }) => resolveFrom(source, name))]))
  const done = new Set<string>()
  const complaints: string[] = []
  const follow = (path: string, trail: string[]): void => {
    if (trail.includes(path)) complaints.push([...trail.slice(trail.indexOf(path)), path].join(' → '))
    else if (!done.has(path)) {
      for (const next of edges.get(path) ?? []) follow(next, [...trail, path])
      done.add(path)
    }
  }
  for (const path of edges.keys()) follow(path, [])
  return complaints
}

function libraryRooms(sources: Source[]): string[] {
  return sources.flatMap((source) => {
    const bare = importsOf(source).map(({ name }) => name).filter((name) => !/^(\.|node:)/.test(name))
    const unknown = bare.filter((name) => !Object.hasOwn(LIBRARIES, name))
    const misplaced = literalsOf(source)
      .filter((name) => Object.hasOwn(LIBRARIES, name) && !LIBRARIES[name]!.includes(roomOf(source.path)))
    return [
      ...unknown.map((name) => `${source.path} imports ${name}, which no room has`),
      ...misplaced.map((name) => `${source.path} names ${name}, which belongs to ${LIBRARIES[name]}`),
    ]
  })
}

function unusedDependencies(sources: Source[], dependencies: string[]): string[] {
  const used = new Set(sources.flatMap(literalsOf))
  return dependencies.filter((name) => !used.has(name)).map((name) => `package.json: nobody imports ${name}`)
}

/** Functions of their arguments: the crc of zlib. */
const PURE_OF_NODE = ['node:zlib']

function purity(sources: Source[]): string[] {
  return sources.filter(({ path }) => isPure(path)).flatMap((source) => [
    ...importsOf(source).filter(({ name }) => name.startsWith('node:') && !PURE_OF_NODE.includes(name))
      .map(({ name }) => `${source.path} is pure and imports ${name}`),
    ...importsOf(source)
      .filter(({ name, typeOnly }) => name.startsWith('.') && !typeOnly && !isPure(resolveFrom(source, name)))
      .map(({ name }) => `${source.path} is pure and imports ${name}, which is not`),
    ...clocksIn(source).map((clock) => `${source.path} is pure and reads the clock: ${clock}`),
  ])
}

function clocksIn(source: Source): string[] {
  const found: string[] = []
  walk(parse(source), (node, parents) => {
    const isDateNow = node.type === 'NewExpression' && (node.arguments as Node[]).length === 0
    const isCalled = node.type === 'Identifier' && parents.at(-1)?.type === 'CallExpression'
    if (!isDateNow && !isCalled && node.type !== 'MemberExpression') return
    const text = source.text.slice(node.start, node.end)
    const clock = isDateNow && /^new Date\b/.test(text) ? 'new Date()' : text
    if (CLOCKS.includes(clock)) found.push(`${clock}, line ${lineOf(source, node.start)}`)
  })
  return found
}

function sizes(sources: Source[]): string[] {
  return sources.flatMap((source) => {
    const lines = source.text.replace(/\n$/, '').split('\n')
    return [
      ...lines.length > FILE_LINES_MAX ? [`${source.path} has ${lines.length} lines`] : [],
      ...lines.flatMap((line, index) => [...line].length > COLUMNS_MAX
        ? [`${source.path}:${index + 1} has ${[...line].length} columns`] : []),
    ]
  })
}

/** The callback of describe() is a chapter, not a function: it is left out. */
function functionSizes(sources: Source[]): string[] {
  return sources.flatMap((source) => {
    const complaints: string[] = []
    const complain = (start: number, end: number): void => {
      const from = lineOf(source, start)
      const lines = lineOf(source, end) - from + 1
      if (lines > FUNCTION_LINES_MAX) complaints.push(`${source.path}:${from}: a function of ${lines} lines`)
    }
    if (isScript(source)) {
      walk(parse(source), (node, parents) => {
        if (!/^(Function(Declaration|Expression)|ArrowFunctionExpression)$/.test(node.type)) return
        const callee = parents.at(-1)?.callee
        if (isNode(callee) && /^describe\b/.test(source.text.slice(callee.start, callee.end))) return
        complain(node.start, node.end)
      })
    } else if (/\.[ch]$/.test(source.path)) {
      const bodies = source.text.matchAll(/^\w.*\)\s*\{\n[\s\S]*?^\}/gm)
      for (const body of bodies) complain(body.index, body.index + body[0].length)
    } else if (source.path.endsWith('.py')) {
      // From its `def` to the last line that is indented deeper; signatures close at the depth of the def.
      const bodies = source.text.matchAll(/^( *)(?:async )?def .*\n(?:(?:\1[ )].*)?\n)*/gm)
      for (const body of bodies) complain(body.index, body.index + body[0].trimEnd().length)
    }
    return complaints
  })
}

/** The main file of a room (index.ts, or main.ts, or the file that bears its name) says what the room is. */
function roomComments(sources: Source[]): string[] {
  const rooms = new Set(sources.map(({ path }) => roomOf(path)))
  return [...rooms].flatMap((room) => {
    const mains = room.endsWith('.ts')
      ? [`lib/${room}`]
      : ['index', 'main', room].map((name) => `lib/${room}/${name}.ts`)
    const main = mains.map((path) => sources.find((source) => source.path === path)).find((source) => source)
    if (!main) return [`lib/${room} has no main file (one of ${mains.join(', ')})`]
    return /^(#!.*\n)?\/[*/]/.test(main.text) ? [] : [`${main.path} does not open with a comment`]
  })
}

function readmeShape({ path, text }: Source): string[] {
  const lines = text.split('\n')
  const codeAt = lines.findIndex((line) => line.startsWith('```')) + 1
  return [
    ...lines.length > README_LINES_MAX ? [`${path} has ${lines.length} lines`] : [],
    ...codeAt > 0 && codeAt < README_CODE_BEFORE ? []
      : [`${path}: no code before line ${README_CODE_BEFORE}`],
  ]
}

// --- the laws, and proof that each can be broken

const everyLib = readSources('lib')
const lib = everyLib.filter(isScript)
const written = [...everyLib, ...['native', 'bench', 'examples', 'test'].flatMap(readSources)]
const bad = (path: string, text: string): Source => ({ path, text })

describe('the source keeps the laws of DESIGN 14', () => {
  test('a room imports only rooms above it', () => { expect(roomOrder(lib)).toEqual([]) })
  test('no file imports itself through others', () => { expect(importCycles(lib)).toEqual([]) })
  test('each library has its room', () => { expect(libraryRooms(lib)).toEqual([]) })
  test('each dependency is used', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    const names = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })
    expect(unusedDependencies([...lib, ...readSources('native').filter(isScript)], names)).toEqual([])
  })
  test('pure files import no node: module and read no clock', () => { expect(purity(lib)).toEqual([]) })
  test('files and lines stay short', () => { expect(sizes(written)).toEqual([]) })
  test('functions stay short', () => { expect(functionSizes(written)).toEqual([]) })
  test('a room says at its door what it is', () => { expect(roomComments(lib)).toEqual([]) })
  test('the README is short and shows code at once', () => {
    expect(readmeShape(bad('README.md', readFileSync(join(ROOT, 'README.md'), 'utf8')))).toEqual([])
  })
})

describe('each check can complain', () => {
  const long = 'let x\n'.repeat(FUNCTION_LINES_MAX)

  test.each([
    ['a room below', "import { a } from '../cli/main.ts'"],
    ['a type of a room below', "import type { A } from '../cli/main.ts'"],
    ['a re-export', "export { a } from '../cli/main.ts'"],
    ['an import() of a room below', "const a = await import('../cli/main.ts')"],
    ['a type written import()', "let a: import('../cli/main.ts').A"],
  ])('about %s', (_, text) => { expect(roomOrder([bad('lib/wire/a.ts', text)])).toHaveLength(1) })

  test('about a room that is not in the order', () => {
    expect(roomOrder([bad('lib/util/a.ts', '')])).toHaveLength(1)
  })

  test('about a cycle of three files', () => {
    const files = ['a', 'b', 'c'].map((name, i) => bad(`lib/${name}.ts`, `import './${'bca'[i]}.ts'`))
    expect(importCycles(files)).toEqual(['lib/a.ts → lib/b.ts → lib/c.ts → lib/a.ts'])
  })

  test.each([
    ["import * as z from 'zeromq'"],
    ["const z = createRequire(import.meta.url)('zeromq')"],
    ["import x from 'left-pad'"],
  ])('about a library in the wrong room: %s', (text) => {
    expect(libraryRooms([bad('lib/agent/a.ts', text)])).toHaveLength(1)
  })

  test('about a dependency that nobody imports', () => {
    expect(unusedDependencies([bad('lib/a.ts', "import 'zod'")], ['zod', 'undici'])).toHaveLength(1)
  })

  test.each([
    ['lib/rank/a.ts', "import type { Stats } from 'node:fs'"],
    ['lib/agent/core-a.ts', 'export const f = () => Date.now()'],
    ['lib/agent/core.ts', 'export const f = () => performance.now()'],
    ['lib/wire/a.ts', 'export const f = () => new Date()'],
    ['lib/wire/a.ts', 'export const f = () => new Date'],
    ['lib/session/core-a.ts', 'setTimeout(() => {}, 5)'],
    ['lib/session/core-a.ts', "import { wallMs } from '../clock.ts'"],
  ])('about an impure %s: %s', (path, text) => { expect(purity([bad(path, text)])).toHaveLength(1) })

  test('but not about a date that is given', () => {
    expect(purity([bad('lib/wire/a.ts', 'export const f = (ms: number) => new Date(ms)')])).toEqual([])
  })

  test('about a long file, a long line and a long function', () => {
    expect(sizes([bad('lib/a.ts', '\n'.repeat(FILE_LINES_MAX + 1))])).toHaveLength(1)
    expect(sizes([bad('lib/a.ts', '//' + 'é'.repeat(COLUMNS_MAX))])).toHaveLength(1)
    expect(functionSizes([bad('lib/a.ts', `function f() {\n${long}}`)])).toHaveLength(1)
    expect(functionSizes([bad('lib/a.ts', `class A {\n  f() {\n${long}}\n}`)])).toHaveLength(1)
    expect(functionSizes([bad('native/a.c', `int f(void) {\n${long}}\n`)])).toHaveLength(1)
    const body = '    x\n'.repeat(FUNCTION_LINES_MAX)
    expect(functionSizes([bad('lib/a.py', `def f(\n    a\n):\n${body}`)])).toHaveLength(1)
    expect(functionSizes([bad('test/a.ts', `describe('a', () => {\n${long}})`)])).toEqual([])
  })

  test('about a room without a main file, and one that does not say what it is', () => {
    expect(roomComments([bad('lib/wire/a.ts', '')])).toHaveLength(1)
    expect(roomComments([bad('lib/wire/index.ts', 'export {}')])).toHaveLength(1)
  })

  test('about a long README, and one that talks before it shows', () => {
    expect(readmeShape(bad('README.md', '```\n' + '\n'.repeat(README_LINES_MAX)))).toHaveLength(1)
    expect(readmeShape(bad('README.md', '\n'.repeat(README_CODE_BEFORE) + '```'))).toHaveLength(1)
  })
})
