import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The command line's tests run the built executable.
    globalSetup: ['test/helpers/build.ts'],
    testTimeout: 60_000,
    // The network saturates the cores by itself; more files at once only fight for them.
    maxWorkers: 2,
  },
});
