// What installing a peer brings with it: bytes of its files and of all that it requires, as its package says.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { BENCH_PYTHON, benchPath, report } from '../kit.js'
import { peerNamed } from '../peers.js'

const MB = 1e6

function bytesIn(path) {
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.size
  return readdirSync(path).reduce((sum, name) => sum + bytesIn(join(path, name)), 0)
}

/** Of a package in Node with what it needs to run, from the lock file of its folder. */
function sizeOfNode(folder, names) {
  const { packages } = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'))
  const seen = new Set()
  const follow = (name) => {
    const found = packages[`node_modules/${name}`]
    if (seen.has(name) || !found) return
    seen.add(name)
    Object.keys({ ...found.dependencies, ...found.optionalDependencies }).forEach(follow)
  }
  names.forEach(follow)
  // What is for other machines is in the lock file only.
  const paths = [...seen].map((name) => join(folder, 'node_modules', name)).filter(existsSync)
  return { packages: paths.length, bytes: paths.reduce((sum, path) => sum + bytesIn(path), 0) }
}

/** As npm would pack us, with what we depend on. */
function sizeOfOurs() {
  const root = benchPath('..')
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const [packed] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'],
  }))
  const needed = sizeOfNode(root, Object.keys({ ...dependencies, ...optionalDependencies }))
  return { packages: needed.packages + 1, bytes: needed.bytes + packed.unpackedSize }
}

const CLOSURE = `
import importlib.metadata as m, json, os, re, sys
from pip._vendor.packaging.requirements import Requirement
seen, size = set(), 0
def follow(name):
    global size
    name = re.sub(r"[-_.]+", "-", name).lower()
    if name in seen: return
    try: found = m.distribution(name)
    except m.PackageNotFoundError: return
    seen.add(name)
    paths = [str(found.locate_file(file)) for file in found.files or []]
    size += sum(os.path.getsize(path) for path in paths if os.path.isfile(path) and not path.endswith(".pyc"))
    for line in found.requires or []:
        need = Requirement(line)
        if not need.marker or need.marker.evaluate({"extra": ""}): follow(need.name)
follow(sys.argv[1])
print(json.dumps({"packages": len(seen), "bytes": size}))`

function sizeOf({ name, needs, package: named }) {
  if (/^(node-)?rankzero$/.test(name)) return sizeOfOurs()
  if (needs === 'npm') return sizeOfNode(benchPath('.'), [named])
  return JSON.parse(execFileSync(BENCH_PYTHON, ['-c', CLOSURE, named], { encoding: 'utf8' }))
}

const { packages, bytes } = sizeOf(peerNamed(process.argv[2]))
report({ size: bytes / MB, packages })
