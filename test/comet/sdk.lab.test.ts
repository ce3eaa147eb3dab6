/** The vendor's SDK, online: the stand-in takes all that it sends, and holds what was logged. */
import { describe, expect, it } from 'vitest'
import { API_KEY, LAB_MS, meet, sdk } from './vendor.ts'
import { ARTIFACT_ASSETS, WHOLE, wholeOf } from './whole.ts'

const KEY = 'a'.repeat(40)

const lastLine = (text: string): any => JSON.parse(text.trimEnd().split('\n').at(-1)!)

/** What the SDK's own API reads back, in its own words. */
const READ = {
  state: 'finished', name: 'run A', tags: WHOLE.tags, all: 1_509, html: '<b>x</b>', graph: 'a graph',
  loss: [['0.5', 3, 1, null], ['0.25', 5, 2, 'train'], ['0.125', 6, 2, 'validate']],
  many: { valueMin: '0.875', valueMax: '188.25', stepMax: 1_506 },
  parameters: { lr: '0.1', layers: '[1,2]', none: 'null', flag: 'true', opt: 'adam' },
  others: { Name: 'run A', k: 'v' }, hostname: true, output: true, models: ['net'],
  assets: [...Object.keys(WHOLE.assets), ...Object.keys(ARTIFACT_ASSETS)].sort(),
}

describe.concurrent('an Experiment', { timeout: LAB_MS }, () => {
  it('is taken whole; what is held is what was logged, and what the SDK reads back', () =>
    meet({}, async (standIn, meeting) => {
      const { code, stdout, stderr } = await sdk(meeting, 'sdk_whole.py', 'online', KEY)
      expect(code, stderr).toBe(0)
      expect(standIn.desk.log().filter(({ status }) => status !== 200)).toEqual([])
      const held = wholeOf(standIn.desk, KEY)
      expect(held).toMatchObject({ ...WHOLE, assets: { ...WHOLE.assets, ...ARTIFACT_ASSETS } })
      const { artifacts } = standIn.desk.experiment(KEY)!
      expect(artifacts).toMatchObject([{ name: 'art', versions: [{ state: 'CLOSED' }] }])
      expect(lastLine(stdout)).toMatchObject(READ)
    }))

  it('meets a key that exists as comet-wire.md 2.2 says', () => meet({}, async (standIn, meeting) => {
    const keys = ['c', 'd', 'e'].map((letter) => letter.repeat(40))
    const { code, stdout, stderr } = await sdk(meeting, 'sdk_resume.py', ...keys)
    expect(code, stderr).toBe(0)
    expect(lastLine(stdout)).toEqual({
      'made': ['Experiment', true], 'made again': ['Experiment', false],
      'existing, unknown': ['ExistingExperiment', false], 'get, unknown': 'ExperimentNotFound',
      'get': ['ExistingExperiment', true], 'create, exists': 'InvalidExperimentMode',
      'get or create, new': ['Experiment', true], 'get or create, exists': ['ExistingExperiment', true],
    })
    const held = standIn.desk.experiments()
    expect(held.map(({ key, resumed, state }) => [key, resumed, state]))
      .toEqual([[keys[0], 1, 'ended'], [keys[1], 1, 'ended']])
    expect(stdout + stderr + JSON.stringify(standIn.desk.log())).not.toContain(API_KEY)
  }))
})
