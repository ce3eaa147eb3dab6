import { defineConfig } from 'vitest/config'

// Real processes share two cores: files run one after another, so that a test measures its own machine.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
