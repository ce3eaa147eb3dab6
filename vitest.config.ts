import { configDefaults, defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What needs launchers, namespaces or the Python parts of .cache: `npm run test:core` leaves these out. */
const LAB = [
  'test/{launchers,nodes,setup}/**', 'test/scenario/nodes*.test.ts', 'test/python/{children,package,values}.test.ts',
  '**/*.lab.test.ts',
]
/** What takes minutes and is looked at by hand: `npm run scale`. */
const SCALE = ['**/*.scale.test.ts']
/** They take minutes: one that began last would keep us waiting for it alone. */
const LONG = ['launchers/', 'drill/', 'sim/', 'fuzz/', 'scenario/']
/** Who waits for a disk that hangs cannot be looked at in /proc, which others' tests do. */
const ALONE = ['test/bounds/disk*.test.ts']

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean =>
      LONG.some((name) => moduleId.includes(`/test/${name}`))
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

// Three files at a time: real processes wait more than they work. Every test has directories, ports and hosts
// of its own, and none asserts a time that another one's work could stretch.
export default defineConfig({
  test: {
    exclude: [
      ...configDefaults.exclude, ...process.env['RANKZERO_TEST_CORE'] ? LAB : [],
      ...process.env['RANKZERO_TEST_SCALE'] ? [] : SCALE,
    ],
    sequence: { sequencer: LongFirst },
    // Limits that only a hang reaches, on a busy machine too.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'together', include: ['test/**/*.test.ts'], exclude: ALONE, maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      { extends: true, test: { name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
})
