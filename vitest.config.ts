import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    // The network saturates the cores by itself; more files at once only fight for them.
    maxWorkers: 2,
  },
});
