import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The command line's tests run the built executable.
    globalSetup: ['test/helpers/build.ts', 'test/helpers/build-page.ts'],
    setupFiles: ['test/helpers/one-core.js'],
    // What a user has in the store is not there for tests.
    env: { DDPM_CODEC_MODELS: join(tmpdir(), 'ddpm-codec-no-models') },
    // For what hangs, and not for what takes its time on a busy machine.
    testTimeout: 1_800_000,
    hookTimeout: 1_800_000,
    // Two files at a time, each with a core.
    maxWorkers: 2,
  },
});
