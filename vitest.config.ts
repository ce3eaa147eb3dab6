import { configDefaults, defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * What needs launchers, namespaces or the Python parts of .cache: it waits for provision.js, and `npm run
 * test:core` leaves it out.
 */
const LAB = [
  'test/{launchers,setup}/*.test.ts', 'test/**/*.lab.test.ts', 'test/bounds/network.test.ts',
  'test/comet/dropin.test.ts', 'test/drill/tools.test.ts',
  'test/python/{children,package,scenario,values}.test.ts',
  'test/scenario/{doctor,failover,nodes*}.test.ts', 'test/security/secrets.test.ts',
]
/** What takes minutes and is looked at by hand: `npm run scale`. */
const SCALE = ['**/*.scale.test.ts']
/**
 * They take minutes: one that began last would keep us waiting for it alone. The first of them need nothing
 * of provision.js, which is at work on a fresh machine; those with Horovod come when it is built.
 */
const LONG = [
  'sim/sim', 'fuzz/', 'sim/mutations', 'scenario/deaths', 'drill/drills', 'launchers/ddp', 'launchers/events',
  'scenario/nodes-torchrun', 'launchers/jobs', 'scenario/nodes', 'launchers/examples', 'scenario/tasks',
  'comet/network', 'comet/faults.test', 'scenario/', 'comet/proxies', 'python/scenario', 'power/power',
]
/** Who waits for a disk that hangs cannot be looked at in /proc, which others' tests do. */
const ALONE = ['test/bounds/disk*.test.ts']

const not = [...configDefaults.exclude, ...process.env['RANKZERO_TEST_SCALE'] ? [] : SCALE]

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = LONG.findIndex((name) => moduleId.includes(`/test/${name}`))
      return at < 0 ? LONG.length : at
    }
    return (await super.sort(files)).sort((a, b) => place(a) - place(b))
  }
}

// Each of some thousand Node processes would read the machine's own CAs at its start, which takes longer than
// all else that Node does there (0.08 s of a processor); what a test trusts, it says.
delete process.env['NODE_EXTRA_CA_CERTS']

// Four files at a time: real processes wait more than they work. Every test has directories, ports and hosts
// of its own, and none asserts a time that another one's work could stretch.
const together = { maxWorkers: 4, sequence: { groupOrder: 2 } }

export default defineConfig({
  test: {
    sequence: { sequencer: LongFirst },
    // Limits that only a hang reaches, on a busy machine too.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    projects: [
      // At first, when provision.js has work for both cores.
      { extends: true, test: { name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } } },
      {
        extends: true,
        test: {
          ...together, name: 'core', include: ['test/**/*.test.ts'], exclude: [...not, ...LAB, ...ALONE],
        },
      },
      ...process.env['RANKZERO_TEST_CORE'] ? [] : [{
        extends: true as const,
        test: {
          ...together, name: 'lab', include: LAB, exclude: not, setupFiles: 'test/setup/lab.ts',
        },
      }],
    ],
  },
})
