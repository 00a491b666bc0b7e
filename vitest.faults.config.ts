import { defineConfig } from 'vitest/config'

// The faults' tier (`npm run test:all -- faults`): real processes killed, real file systems full, failing, without power.
// One file at a time: they share the machine's two processors with the processes that they start. With PAGELOG_POINTS=all
// a test takes every point there is, which may take hours.
const testTimeout = process.env.PAGELOG_POINTS === 'all' ? 6 * 3_600_000 : 600_000

export default defineConfig({
  test: {
    include: ['test/**/*.faults.ts'],
    testTimeout,
    hookTimeout: 60_000,
    pool: 'forks',
    fileParallelism: false,
    // Tests of one file that say they may run side by side: clusters mostly wait for sessions to end.
    maxConcurrency: 2,
    reporters: ['default'],
  },
})
