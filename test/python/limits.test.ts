import { expect, it } from 'vitest'
import * as usual from '../../lib/limits.ts'
import * as ofAssets from '../../lib/limits-asset.ts'
import * as ofComet from '../../lib/limits-comet.ts'
import { python } from './kit.ts'

const limits = { ...usual, ...ofAssets, ...ofComet }

it('the numbers of the Python client are those of lib/limits*.ts', () => {
  const code = 'import json, rankzero.limits as l\n'
    + 'print(json.dumps({n: v for n, v in vars(l).items() if n.isupper() and n not in ("KIB", "MIB")}))'
  const theirs = JSON.parse(python(code)) as Record<string, number>
  expect(Object.keys(theirs).length).toBeGreaterThan(15)
  for (const [name, value] of Object.entries(theirs)) {
    expect([name, value]).toEqual([name, (limits as Record<string, unknown>)[name]])
  }
})
