import { configDefaults, defineConfig } from 'vitest/config'

/** What needs launchers, namespaces or the Python parts of .cache: `npm run test:core` leaves these out. */
const LAB = [
  'test/{launchers,nodes,setup}/**', 'test/scenario/nodes*.test.ts', 'test/python/{children,package,values}.test.ts',
  '**/*.lab.test.ts',
]

// Real processes share two cores: files run one after another, so that a test measures its own machine.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...process.env['RANKZERO_TEST_CORE'] ? LAB : []],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
