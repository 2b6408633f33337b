/** Functions compiled for windows. */
import { expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { openWindowed } from '../../src/model/windowed.js';
import { layWindows, windowsOf } from '../../src/model/windows.js';

test('a function that could not be compiled is compiled again for the next picture', async () => {
  let compiles = 0;
  let disposed = 0;
  const engine = {
    ...{ parallelism: 1, batch: 1 },
    async compile() {
      if (++compiles === 1) throw new Error('out of memory');
      return { outputShapes: [[1]], run: async () => [Float32Array.of(7)], dispose: async () => void disposed++ };
    },
  } as unknown as Engine;
  const windowed = openWindowed(engine);
  const axis = layWindows(8, 1, { tile: 8, overlap: 0 });
  const runnable = { fn: () => [], constants: [] };
  const found: number[] = [];
  const run = () =>
    windowed.run(runnable, windowsOf(axis, axis), [{ shape: [1], fill: () => {} }], (_, [output]) => {
      found.push(output[0]);
    });
  const results = await Promise.allSettled([run(), run()]);
  expect(results.filter(({ status }) => status === 'rejected')).not.toEqual([]);
  await run();
  await run();
  expect(found.slice(-2)).toEqual([7, 7]);
  await windowed.dispose();
  expect(disposed).toBe(compiles - 1);
});
