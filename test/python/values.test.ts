import { describe, expect, it } from 'vitest'
import type { Bodies } from '../../lib/record/index.ts'
import { Kind } from '../../lib/record/index.ts'
import { leave, VENV_PYTHON, type Left } from './kit.ts'

const START = 'import rankzero\nrun = rankzero.init()\n'
const bodiesOf = <T>(left: Left, kind: Kind): T[] =>
  left.taken.filter((record) => record.kind === kind).map(({ body }) => body as T)

describe('what log() takes', () => {
  it('numbers and booleans as doubles, in the order of the names', () => {
    const { journals: [left] } = leave(`${START}
run.log({"a": 0.1, "b": 2**53 - 1, "c": True}, step=0)
run.log({"a": float("nan"), "b": -float("inf"), "c": -0.0}, step=2**53 - 1)
run.log({"c": 3, "a": 1}, step=5.0)
from fractions import Fraction
from decimal import Decimal
run.log({"a": Fraction(1, 2), "b": Decimal("0.25"), "c": False}, step=6)
`)
    expect(left!.logged).toEqual([
      [0, [0.1, 2 ** 53 - 1, 1]], [2 ** 53 - 1, [NaN, -Infinity, -0]], [5, [3, 1]], [6, [0.5, 0.25, 0]],
    ])
    expect(bodiesOf<Bodies['layout']>(left!, Kind.layout)).toEqual([
      { id: 1, names: ['a', 'b', 'c'] }, { id: 2, names: ['c', 'a'] },
    ])
    expect(left!.end).toMatchObject({ logged: 11, refused: 0 })
  })

  it('scalars of NumPy and torch, and tensors on their way', () => {
    const { journals: [left], stderr } = leave(`${START}
import numpy as np, torch
for step in range(3):
    run.log({"f32": np.float32(0.1), "f64": np.float64(0.1), "i": np.int64(7), "b": np.bool_(True),
             "zero": np.array(2.5), "one": np.array([3.5]), "t": torch.tensor(4.5, requires_grad=True),
             "h": torch.tensor(1.5, dtype=torch.bfloat16), "tb": torch.tensor(True), "two": np.zeros(2),
             "huge": np.int64(2**60), "z": np.complex128(1j)}, step=np.int32(step), weight=np.float32(2))
`, {}, VENV_PYTHON)
    const f32 = Math.fround(0.1)
    expect(left!.logged, stderr).toEqual([0, 1, 2].map((step) =>
      [step, [f32, 0.1, 7, 1, 2.5, 3.5, 4.5, 1.5, 1]]))
    expect(left!.refused).toEqual({ object: 6, bigint: 3 })
    const weights = left!.taken.filter(({ kind }) => kind === Kind.values).map(({ weight }) => weight)
    expect(weights).toEqual([2, 2, 2])
  })

  it('and refuses what is no number: counted by cause, told once, never raised', () => {
    const { status, stderr, journals: [left] } = leave(`${START}
class Bad:
    def item(self): raise RuntimeError("no")
class Map:
    def keys(self): raise RuntimeError("no")
    def __getitem__(self, name): return 1
for step in range(2):
    run.log({"ok": 1, "s": "x", "n": None, "big": 2**53 + 1, "o": object(), "bad": Bad(), 5: 1, "": 1,
             "x" * 1025: 1}, step=step)
run.log({"ok": 2}, step=-1); run.log({"ok": 2}, step=0.5); run.log({"ok": 2}, step="1")
run.log({"ok": 2}, step=2**53); run.log({"ok": 2}, step=float("nan"))
run.log([1, 2]); run.log(None); run.log(7); run.log(Map()); run.log("abc", step=1)
run.log({"ok": 3}, step=3, weight=-1); run.log({"ok": 4}, step=4, weight="w"); run.log({}, step=9)
run.params(7); run.define("m", reduce="median"); run.resume(step=-1)
run.text(object())
`)
    expect(status).toBe(0)
    expect(left!.logged).toEqual([[0, [1]], [1, [1]], [3, [3]], [4, [4]]])
    expect(left!.refused).toEqual({
      string: 2, null: 2, bigint: 2, object: 2, threw: 2, name: 6, step: 5, values: 5,
    })
    expect(left!.end).toMatchObject({ logged: 4, refused: 26 })
    for (const part of ['is no number', 'a step must be', 'a weight must be', 'params', 'define', 'resume']) {
      expect(stderr.split(part).length, part).toBeGreaterThan(1)
    }
    expect(stderr.match(/a string is no number/g)).toHaveLength(1)
  })

  it('steps: the last one given, before any a counter', () => {
    const { journals: [left] } = leave(`${START}
run.log({"a": 0}); run.log({"a": 1}); run.log({"a": 2}, step=10); run.log({"a": 3}); run.log({"b": 4})
`)
    expect(left!.logged.map(([step]) => step)).toEqual([0, 1, 10, 10, 10])
  })

  it('any number of names, in as many layouts as it takes', () => {
    const { journals: [left] } = leave(`${START}
run.log({"name %d" % i: i for i in range(70000)}, step=0)
run.log({"n" * 1000 + str(i): i for i in range(1000)}, step=1)
for i in range(3000): run.log({"own %d" % i: i}, step=2)
`)
    const counts = left!.logged.map(([step, values]) => [step, values.length])
    const sum = (step: number): number => counts.reduce((n, [s, count]) => n + (s === step ? count! : 0), 0)
    expect([sum(0), sum(1), sum(2)]).toEqual([70_000, 1000, 3000])
    expect(left!.end).toMatchObject({ logged: 74_000 })
  })
})

describe('params, text, define, resume', () => {
  it('are written as JSON can say them', () => {
    const { journals: [left] } = leave(`${START}
import argparse, dataclasses, datetime, pathlib
@dataclasses.dataclass
class Opt: lr: float = 0.1
loop = {}; loop["self"] = loop
run.params({"a": (1, 2.5, None), "n": float("inf"), "big": 2**70, "s": {3}, "p": pathlib.Path("/x"),
            "o": Opt(), "ns": argparse.Namespace(k=1), "loop": loop, 7: True, "b": b"x",
            "\\ud800": "\\udc00"})
run.text("line with \\u6f22"); run.define("loss/*", reduce="max"); run.resume(step=40)
`)
    const [params] = bodiesOf<Bodies['params']>(left!, Kind.params)
    expect(params!.params).toEqual({
      a: [1, 2.5, null], n: 'Infinity', big: `${2n ** 70n}`, s: [3], p: '/x', o: { lr: 0.1 }, ns: { k: 1 },
      loop: { self: '[circular]' }, 7: true, b: 'x', '\ud800': '\udc00',
    })
    expect(left!.texts).toEqual([{ line: 'line with 漢' }])
    expect(bodiesOf(left!, Kind.define)).toEqual([{ metric: 'loss/*', reduce: 'max' }])
    expect(bodiesOf(left!, Kind.resume)).toEqual([{ step: 40 }])
  })

  it('a text over 1 MiB is cut and marked, large params go one by one', () => {
    const { journals: [left] } = leave(`${START}
run.text("é" * 2**20); run.params({"a": "x" * 600000, "b": "y" * 600000, "c": "z" * 2000000})
`)
    const [text] = left!.texts
    expect([text!.cut, Buffer.byteLength(text!.line) <= 2 ** 20 - 4096, text!.line.length > 500_000])
      .toEqual([true, true, true])
    expect(bodiesOf<Bodies['params']>(left!, Kind.params).map(({ params }) => Object.keys(params)))
      .toEqual([['a'], ['b']])
  })
})
