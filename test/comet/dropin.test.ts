/** `rankzero.comet` in place of comet_ml: on every rank, against the stand-in; and its page, whole. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { CLIENT, envOf, python, PYTHON, VENV_PYTHON } from '../python/kit.ts'
import type { Place } from '../scenario/harness.ts'
import type { View } from './desk.ts'
import { API_KEY, cometPlace } from './kit.ts'
import { spawnStandIn } from './process.ts'

const TRAINER = resolve(import.meta.dirname, 'dropin.py')
/** As the vendor's own code makes it of [1, 2, 3]. */
const HASH = createHash('md5').update('[1, 2, 3]').digest('hex').slice(0, 12)
const digestOf = (bytes: string): string => createHash('sha256').update(bytes).digest('hex')

describe('the drop-in', () => {
  let place: Place
  let server: Awaited<ReturnType<typeof spawnStandIn>>
  afterEach(async () => {
    place.dispose()
    await server.close()
  })

  async function begin(): Promise<NodeJS.ProcessEnv> {
    server = await spawnStandIn()
    place = cometPlace(server.url)
    mkdirSync(join(place.root, 'folder', 'sub'), { recursive: true })
    writeFileSync(join(place.root, 'blob.bin'), 'content')
    writeFileSync(join(place.root, 'folder', 'sub', 'deep.txt'), 'deep')
    return { ...envOf(place), T_DIR: place.root }
  }

  const assetsOf = ({ assets }: View): Record<string, View['assets'][number]> =>
    Object.fromEntries(assets.map((asset) => [`${asset.type} ${asset.fileName}`, asset]))
  const contentOf = async ({ key }: View, assetId: string): Promise<unknown> =>
    JSON.parse(Buffer.from((await server.desk.asset(key, assetId))!, 'base64').toString())

  it('of 4 ranks is one experiment with everything once', async () => {
    const env = await begin()
    const done = await place.run(['run', '--backend', 'comet', '--nproc', '4', '--', PYTHON, TRAINER], env)
    expect(done.code, done.stderr).toBe(0)
    const experiments = await server.desk.experiments()
    expect(experiments).toHaveLength(1)
    const [view] = experiments as [View]
    expect(view).toMatchObject({
      name: 'as it was', project: 'digits', workspace: 'ws', state: 'ended', errors: [],
      parameters: { 'hp_lr': 0.1, 'hp_opt/name': 'adam', 'seed': 0, 'dataset_hash': HASH },
      html: '<b>x</b><i>y</i>',
      others: { commit: 'abc', a: 1, b: 'two', 'seed, by rank': '0: 0; 1: 1; 2: 2; 3: 3' },
    })
    expect(view.tags.sort()).toEqual(['rank 0', 'rank 1', 'rank 2', 'rank 3', 't1', 't2'])
    const series = await server.desk.series(view.key)
    expect(series['train_same']!.map(({ step, value }) => [step, value]))
      .toEqual(Array.from({ length: 20 }, (_, step) => [step, step]))
    expect(series['train_loss']![0]).toMatchObject({ step: 0, value: 2.5 })
    expect(series['validate_acc']).toMatchObject([{ step: 20, value: 2 }])
    expect(series['epoch']!.map(({ step, value }) => [step, value])).toEqual([[0, 0], [10, 1]])
    const assets = assetsOf(view)
    expect(assets).toMatchObject({
      'text-sample auto-generated-in-the-backend': { sha256: digestOf('a sample'), step: 20 },
      'asset d/blob.bin': { sha256: digestOf('content'), step: 20 },
      'asset data.json': {}, 'asset folder/sub/deep.txt': { sha256: digestOf('deep') },
      'model-element blob.bin': { groupingName: 'net', sha256: digestOf('content') },
      'asset k.pt': { link: 's3://b/k.pt' }, 'image pic.png': { step: 20 },
      'image fig.svg': { sha256: digestOf('<svg/>') }, 'confusion-matrix confusion-matrix.json': {},
      'histogram3d weights': { step: 20 }, 'curve roc': {},
      'asset t.csv': { sha256: digestOf('a,b\n1,2\n3,4\n') },
      'asset model-graph.txt': { sha256: digestOf('a -> b') },
      'tensorflow-file folder/sub/deep.txt': { sha256: digestOf('deep') },
      'source_code code.py': { sha256: digestOf('print(1)') },
    })
    expect(Object.keys(assets)).toHaveLength(15)
    expect(view.assets.filter(({ uploads }) => uploads !== 1)).toEqual([])
    const matrix = assets['confusion-matrix confusion-matrix.json']!
    const content = await contentOf(view, matrix.assetId)
    expect(content).toMatchObject({ labels: ['no', 'yes'], matrix: [[1, 0], [1, 1]] })
    const said = done.stdout.split('\n').filter((line) => line.includes('key'))
    const keys = said.map((line) => line.split(' ').at(-1))
    expect([...new Set(keys)]).toEqual([view.key])
    for (const [what, count] of Object.entries({
      'comet: log_embedding: embeddings are not made here': 1, 'comet: get_artifact:': 1, 'comet: step:': 1,
      'comet: log_image: ': 1, 'asset: .*/nowhere/at/all': 1, 'comet: api_key': 1,
    })) {
      const lines = done.stderr.split('\n').filter((line) => new RegExp(`rank 0: ${what}`).test(line))
      expect([what, lines.length]).toEqual([what, count])
    }
  }, 120_000)

  it('without rankzero run brings it to Comet, or into an archive, with the key of the code', async () => {
    const env = await begin()
    const code = `import sys
import os
from rankzero.comet import start
experiment = start(
    api_key="${API_KEY}", workspace="ws", project_name="p", online=sys.argv[1] == "yes")
experiment.log_metric("loss", 0.5, step=1)
assert "COMET_API_KEY" not in os.environ
experiment.end()
print(experiment.get_key())
`
    writeFileSync(join(place.root, 'alone.py'), code)
    const alone = { ...env, COMET_API_KEY: '' }
    const offline = await place.run([PYTHON, join(place.root, 'alone.py'), 'no'], alone)
    expect(offline.code, offline.stderr).toBe(0)
    await expect.poll(() => place.picture()?.state, { timeout: 60_000 }).toBe('ended')
    expect(place.picture()!.backends[1]).toMatchObject({ state: 'offline', archive: expect.any(String) })
    expect(await server.desk.experiments()).toEqual([])
    const online = await place.run([PYTHON, join(place.root, 'alone.py'), 'yes'], alone)
    expect(online.code, online.stderr).toBe(0)
    const state = async (): Promise<unknown> => (await server.desk.experiments())[0]?.state
    await expect.poll(state, { timeout: 60_000 }).toBe('ended')
    const [view] = await server.desk.experiments()
    expect((await server.desk.series(view!.key))['loss']).toMatchObject([{ step: 1, value: 0.5 }])
  }, 120_000)
})

it('the porting page has every public method of the vendor\'s Experiment, and is true', () => {
  const code = `import json
from comet_ml import Experiment
print(json.dumps([name for name in dir(Experiment) if not name.startswith("_")]))`
  const { stdout, stderr } = spawnSync(VENV_PYTHON, ['-c', code], { encoding: 'utf8' })
  expect(stdout, stderr).toMatch(/^\[/m)
  const theirs = JSON.parse(stdout.split('\n').find((line) => line.startsWith('['))!) as string[]
  const [page, methods] = JSON.parse(python(`import json
from rankzero.comet import Experiment
from rankzero.comet_methods import METHODS, page
print(json.dumps([page(), {name: [kind, name in dir(Experiment)] for name, (kind, _) in METHODS.items()}]))
`)) as [string, Record<string, [string, boolean]>]
  expect(Object.keys(methods).sort()).toEqual(theirs.sort())
  for (const [name, [kind, isHere]] of Object.entries(methods)) {
    expect([name, isHere]).toEqual([name, kind !== 'missing'])
  }
  expect(readFileSync(join(CLIENT, 'COMET.md'), 'utf8')).toBe(page)
})

/** With the vendor's package and NumPy at hand; prints what differs. */
const AS_THEIRS = `import json, random, struct, zlib
import numpy
from comet_ml.confusion_matrix import ConfusionMatrix
from comet_ml.data_structure import Histogram
from rankzero import comet_assets as ours

random.seed(1)
values = [random.choice((-1, 1)) * 10 ** random.uniform(-11.9, 19.9) for _ in range(2000)] + [0, 1, -1]
theirs = Histogram()
theirs.add(list(values))
if ours.histogram_of(values) != {**theirs.to_json(), "index_values": theirs.counts_compressed()}:
    print("histogram")
texts = {"title": "Confusion Matrix", "rowLabel": "Actual Category", "columnLabel": "Predicted Category"}
matrix = ConfusionMatrix(y_true=[0, 1, 1, 2], y_predicted=[0, 1, 0, 2], labels=["a", "b", "c"]).to_json()
mine = json.loads(ours.confusion_of([0, 1, 1, 2], [0, 1, 0, 2], None, ["a", "b", "c"], texts))
same = all(mine[name] == matrix[name] for name in ("version", "labels", "matrix", *texts))
if not same or set(mine) != set(matrix):
    print("matrix")

def pixels(png):
    at, found = 8, b""
    while at < len(png):
        size, = struct.unpack_from(">I", png, at)
        if png[at + 4:at + 8] == b"IDAT":
            found += png[at + 8:at + 8 + size]
        assert zlib.crc32(png[at + 4:at + 8 + size]) == struct.unpack_from(">I", png, at + 8 + size)[0]
        at += 12 + size
    return list(zlib.decompress(found))

grey = numpy.array([[0.0, 0.5], [1.0, 0.25]])
colour = numpy.arange(12, dtype="uint8").reshape(2, 2, 3)
for image, channels, wanted in (
    (grey, "last", [0, 0, 128, 0, 255, 64]), (colour, "last", [0, *range(6), 0, *range(6, 12)]),
    (colour.transpose(2, 0, 1), "first", [0, *range(6), 0, *range(6, 12)]),
    (grey * 10 - 5, "last", [0, 0, 128, 0, 255, 64]),
):
    if pixels(ours.png_of(image, channels)) != wanted:
        print("png", channels, pixels(ours.png_of(image, channels)))
`

it('histograms and confusion matrices are the vendor\'s own, and pictures are pictures', () => {
  const env = { ...process.env, PYTHONPATH: CLIENT, PYTHONDONTWRITEBYTECODE: '1' }
  const done = spawnSync(VENV_PYTHON, ['-c', AS_THEIRS], { encoding: 'utf8', env })
  expect([done.status, done.stdout], done.stderr).toEqual([0, ''])
})
