/** The store of contents: whole or not there, each once, the same from both clients. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, rmSync, truncateSync, writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { contentOf, contentPath, isThere, keep, storeOf } from '../../lib/artifact/index.ts'
import { assetBody } from '../../lib/logger/assets.ts'
import { ASSET_BYTES_MAX } from '../../lib/limits-asset.ts'
import { scratch } from '../journal/helpers.ts'
import { python } from '../python/kit.ts'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Bodies of assets, and why others have none, as Python says. */
const pythons = (dir: string, sources: string): unknown => JSON.parse(python(`
import json, sys
from rankzero.assets import asset_body
def body(source, name=None, kind="asset", step=None, metadata=None):
    try:
        return asset_body(${JSON.stringify(dir)}, source, name, kind, step, metadata)
    except Exception as error:
        return str(error)
print(json.dumps([${sources}]))`))

function failure(work: () => unknown): string {
  try {
    return `nothing failed: ${JSON.stringify(work())}`
  } catch (error) {
    return (error as Error).message
  }
}

async function read(parent: string, content: { size: number; sha256: string }): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of contentOf(parent, content)) parts.push(part)
  return Buffer.concat(parts)
}

describe('the store of contents', () => {
  it('tells what went wrong first, also where the directory goes meanwhile', () => {
    const dir = join(scratch('disk'), 'runs')
    const bytes = Buffer.alloc(1)
    Object.defineProperty(bytes, 'length', { get: () => {
      rmSync(storeOf(dir), { recursive: true, force: true })
      return ASSET_BYTES_MAX + 1
    } })
    expect(failure(() => keep(dir, bytes))).toMatch(/more than .*: log a reference/)
  })

  it('has equal bytes once, whoever stores them, and gives them back', async () => {
    const dir = join(scratch('disk'), 'runs')
    const bytes = Buffer.alloc(3_000_001, 'rank')
    const file = join(scratch('disk'), 'model ü.bin')
    writeFileSync(file, bytes)
    const content = { size: bytes.length, sha256: sha256(bytes) }
    expect([keep(dir, file), keep(dir, bytes)]).toEqual([content, content])
    const uri = new URL(`file://${file}`).href
    const metadata = { a: [1, NaN], b: { c: true } }
    const ours = [
      assetBody(dir, file, { step: 7, metadata }), assetBody(dir, bytes, { name: 'x', type: 'image' }),
      assetBody(dir, { uri }, {}), assetBody(dir, { uri: 's3://b/k.pt?v=1', size: 5 }, {}),
    ]
    const theirs = pythons(dir, `body(${JSON.stringify(file)}, None, "asset", 7,
      {"a": [1, float("nan")], "b": {"c": True}}), body(b"rank" * 750000 + b"r", "x", "image"),
      body({"uri": ${JSON.stringify(uri)}}), body({"uri": "s3://b/k.pt?v=1", "size": 5})`)
    expect(theirs).toEqual(ours)
    expect(ours[2]).toMatchObject({ ...content, uri, step: null })
    expect(readdirSync(storeOf(dir))).toEqual([content.sha256])
    expect(statSync(storeOf(dir)).mode & 0o777).toBe(0o700)
    expect((await read(dir, content)).equals(bytes)).toBe(true)
    expect((await read(dir, keep(dir, new Uint8Array()))).length).toBe(0)
  })

  it('gives no other bytes than those of the name', async () => {
    const dir = scratch('disk')
    const content = keep(dir, Buffer.from('as it was'))
    chmodSync(contentPath(dir, content), 0o600)
    writeFileSync(contentPath(dir, content), 'as it is!')
    await expect(read(dir, content)).rejects.toThrow('is damaged')
    writeFileSync(contentPath(dir, content), 'shorter')
    expect(isThere(dir, content)).toBe(false)
    expect(keep(dir, Buffer.from('as it was'))).toEqual(content)
    expect((await read(dir, content)).toString()).toBe('as it was')
  })

  it('takes what is no whole plain file from neither client, and is left as it was', () => {
    const place = scratch('disk')
    const dir = join(place, 'runs')
    const paths = ['fifo', 'gone', 'large'].map((name) => join(place, name))
    execFileSync('mkfifo', [paths[0]!])
    writeFileSync(paths[2]!, '')
    truncateSync(paths[2]!, ASSET_BYTES_MAX + 1)
    const wanted = [/fifo is no plain file/, /ENOENT|No such file/, /large has \d+ bytes, more than.*refer/]
    const ours = paths.map((path) => failure(() => assetBody(dir, path, {})))
    const theirs = pythons(dir, paths.map((path) => `body(${JSON.stringify(path)})`).join(', ')) as string[]
    for (const [i, words] of wanted.entries()) {
      expect(ours[i]).toMatch(words)
      expect(theirs[i]).toMatch(words)
    }
    expect(failure(() => assetBody(dir, Buffer.from(''), { step: 0.5 }))).toMatch(/its step must be/)
    expect(failure(() => assetBody(dir, { uri: 's3://b', sha256: 'abc' }, {}))).toMatch(/its sha256 is none/)
    expect(pythons(dir, 'body(b"", step=0.5), body({"uri": "s3://b", "sha256": "abc"})'))
      .toEqual([expect.stringMatching(/its step must be/), expect.stringMatching(/its sha256 is none/)])
    expect(readdirSync(storeOf(dir))).toEqual([])
  })

  it('is used when it is ours alone only', () => {
    for (const make of [
      (store: string): void => { mkdirSync(store); chmodSync(store, 0o777) },
      (store: string): void => symlinkSync('/tmp', store),
    ]) {
      const dir = scratch('disk')
      make(storeOf(dir))
      expect(failure(() => keep(dir, Buffer.from('a')))).toMatch(/others may write/)
      expect(pythons(dir, 'body(b"a")')).toEqual([expect.stringMatching(/others may write/)])
    }
  })

  it('takes no file that changes while Python reads it', () => {
    const dir = scratch('disk')
    const said = python(`
import os, subprocess, sys
from rankzero.assets import asset_body
path = os.path.join(${JSON.stringify(dir)}, "model.bin")
with open(path, "wb") as file:
    file.truncate(200_000_000)
writer = subprocess.Popen(["sh", "-c", 'while :; do echo more >> "$0"; done', path])
while os.path.getsize(path) == 200_000_000:
    pass
try:
    print(asset_body(${JSON.stringify(dir)}, path, None, "asset", None, None))
except ValueError as error:
    print(error)
writer.kill()
`)
    expect(said).toMatch(/model\.bin changed while it was read/)
    expect(readdirSync(storeOf(dir))).toEqual([])
  })
})
