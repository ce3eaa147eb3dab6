import { configDefaults, defineConfig } from 'vitest/config'

/** What needs launchers, namespaces or the Python parts of .cache: `npm run test:core` leaves these out. */
const LAB = [
  'test/{launchers,nodes,setup}/**', 'test/scenario/nodes*.test.ts', 'test/python/{children,package,values}.test.ts',
  '**/*.lab.test.ts',
]

// Two files at a time: real processes wait more than they work. Every test has directories, ports and hosts of
// its own, and none asserts a time that another one's work could stretch.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...process.env['RANKZERO_TEST_CORE'] ? LAB : []],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
