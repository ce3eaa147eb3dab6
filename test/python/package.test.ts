/** The package itself: that it installs, that its syntax is that of Python 3.8, that its types hold. */
import { spawnSync } from 'node:child_process'
import { cpSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { scratch } from '../journal/helpers.ts'
import { CLIENT, python, PYTHON, VENV_PYTHON } from './kit.ts'

const run = (program: string, args: string[], env: NodeJS.ProcessEnv = {}): [number | null, string] => {
  const done = spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, PYTHONPATH: '', ...env } })
  return [done.status, `${done.stdout}${done.stderr}`]
}

it('pip install ./lib/python works without a network, and the package is whole', () => {
  const dir = scratch('disk')
  cpSync(CLIENT, join(dir, 'python'), { recursive: true })
  const target = join(dir, 'site')
  const [status, said] = run(VENV_PYTHON, [
    '-m', 'pip', 'install', '--no-index', '--no-build-isolation', '--no-deps', '--target', target,
    join(dir, 'python'),
  ])
  expect(status, said).toBe(0)
  const files = readdirSync(join(CLIENT, 'rankzero')).filter((name) => /\.(py|typed)$/.test(name)).sort()
  expect(readdirSync(join(target, 'rankzero')).filter((name) => name !== '__pycache__').sort()).toEqual(files)
  expect(files).toContain('py.typed')
  const code = 'import rankzero; print(rankzero.__version__, rankzero.__file__)'
  const [, where] = run(PYTHON, ['-c', code], { PYTHONPATH: target })
  expect(where).toContain(`0.1.0 ${target}/rankzero/__init__.py`)
})

it('npm ships it, beside the command line that it starts', () => {
  const root = resolve(CLIENT, '../..')
  const [status, said] = run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', root])
  expect(status).toBe(0)
  const [{ files }] = JSON.parse(said.slice(said.indexOf('['))) as [{ files: { path: string }[] }]
  const paths = files.map(({ path }) => path)
  for (const name of readdirSync(join(CLIENT, 'rankzero')).filter((each) => /\.(py|typed)$/.test(each))) {
    expect(paths).toContain(`lib/python/rankzero/${name}`)
  }
  expect(paths).toContain('lib/python/pyproject.toml')
  expect(paths.filter((path) => /pycache|\.pyc$/.test(path))).toEqual([])
})

it('its syntax is that of Python 3.8, and it imports nothing but the standard library', () => {
  const code = `
import ast, pathlib, sys
for file in pathlib.Path("${CLIENT}/rankzero").glob("*.py"):
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 8))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else \\
            [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        for name in names:
            assert name.split(".")[0] in sys.stdlib_module_names, (file, name)
            assert name.split(".")[0] not in ("socket", "asyncio", "http", "urllib", "ssl"), (file, name)
print("good")
`
  expect(python(code)).toBe('good\n')
})

it('its types hold under mypy --strict', () => {
  const [status, said] = run(VENV_PYTHON, ['-m', 'mypy', '--strict', '--cache-dir', scratch('disk'),
    join(CLIENT, 'rankzero')])
  expect([status, said]).toEqual([0, expect.stringContaining('no issues found')])
})
