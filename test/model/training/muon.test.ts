/** Muon: what its iteration does to a matrix, and one step of it. */
import type * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gaussians, integerStream } from '../../../src/common/random.js';
import type { Engine } from '../../../src/engine/engine.js';
import { parseConfig } from '../../../src/model/config.js';
import { createSchedule, paperSchedule } from '../../../src/model/schedule.js';
import { createMuon, isHiddenMatrix, orthogonalize } from '../../../src/model/training/muon.js';
import { createOptimizer } from '../../../src/model/training/optimizer.js';
import { presets } from '../../../src/model/training/presets.js';
import { createState } from '../../../src/model/training/state.js';
import { listParameters, type ParameterSpec } from '../../../src/model/unet-parameters.js';
import { openEngine } from '../../../src/node/engine/index.js';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('onnx');
});
afterAll(() => engine.dispose());

async function orthogonalized(matrix: Float32Array, rows: number, columns: number): Promise<Float32Array> {
  const compiled = await engine.compile(([x]) => [orthogonalize(x as tf.Tensor2D)], [[rows, columns]]);
  const [result] = await compiled.run([matrix]);
  await compiled.dispose();
  return result;
}

/** A B^T for A [n, k] and B [m, k]. */
function timesTransposed(a: Float32Array, b: Float32Array, k: number): number[][] {
  const row = (x: Float32Array, i: number) => x.subarray(i * k, (i + 1) * k);
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  const rowsOf = (x: Float32Array) => Array.from({ length: x.length / k }, (_, i) => row(x, i));
  return rowsOf(a).map((x) => rowsOf(b).map((y) => dot(x, y)));
}

describe('orthogonalize', () => {
  // A Gaussian matrix with twice as many columns as rows has singular values within a factor of six of one another.
  test('gives rows that are about orthonormal, in the directions of the matrix', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 12 }),
        fc.integer(),
        fc.float({ min: -20, max: 20, noNaN: true }),
        async (rows, seed, log2Size) => {
          const columns = 2 * rows + 2;
          const gaussian = gaussians(integerStream(`muon/${seed}`));
          const matrix = Float32Array.from({ length: rows * columns }, () => gaussian() * 2 ** log2Size);
          const result = await orthogonalized(matrix, rows, columns);
          // Singular values between 0.65 and 1.25: no direction is lost, and none is twice as long as another.
          for (let i = 0; i < 5; i++) {
            const direction = Float32Array.from({ length: rows }, gaussian);
            const along = Array.from({ length: columns }, (_, column) =>
              direction.reduce((sum, value, row) => sum + value * result[row * columns + column], 0),
            );
            const stretch = Math.hypot(...along) / Math.hypot(...direction);
            expect(stretch).toBeGreaterThan(0.6);
            expect(stretch).toBeLessThan(1.3);
          }
          // The result is a polynomial in M M^T times M. So its product with M^T is symmetric, and positive on the diagonal.
          const product = timesTransposed(result, matrix, columns);
          const size = Math.max(...product.flat().map(Math.abs));
          product.forEach((row, i) => {
            expect(row[i]).toBeGreaterThan(0);
            row.forEach((value, j) => {
              expect(Math.abs(value - product[j][i])).toBeLessThan(1e-4 * size);
            });
          });
        },
      ),
      { numRuns: 30 },
    );
  });

  test('a matrix with more rows than columns is the transpose of what its transpose gives', async () => {
    const gaussian = gaussians(integerStream('muon/tall'));
    const wide = Float32Array.from({ length: 15 }, gaussian);
    const tall = Float32Array.from({ length: 15 }, (_, i) => wide[(i % 3) * 5 + Math.floor(i / 3)]);
    const [a, b] = [await orthogonalized(wide, 3, 5), await orthogonalized(tall, 5, 3)];
    b.forEach((value, i) => {
      expect(value).toBeCloseTo(a[(i % 3) * 5 + Math.floor(i / 3)], 5);
    });
  });

  test('no gradient is no direction', async () => {
    expect(await orthogonalized(new Float32Array(6), 2, 3)).toEqual(new Float32Array(6));
  });
});

describe('a step', () => {
  const SPEC: ParameterSpec = { name: 'layer.weight', oldName: 'layer.weight', kind: 'linear', shape: [2, 3] };

  // From NumPy 2.4 in double precision: momentum 0.95 with Nesterov's step, five iterations, 0.2 sqrt(3) lr.
  test('gives what NumPy gives', async () => {
    const muon = await createMuon(engine, [SPEC]);
    const weights = Float32Array.of(0.5, -1, 2, 0.25, 0.75, -0.5);
    const [ema, momentum] = [weights.slice(), new Float32Array(6)];
    const options = { learningRate: 0.01, scale: 1, emaDecay: 0.75 };
    await muon.step([weights], [ema], [momentum], [Float32Array.of(0.1, -0.2, 0.05, 1, 0.5, -3)], options);
    const first = [0.498004177, -0.996623815, 1.999863735, 0.24921545, 0.749669271, -0.497732513];
    weights.forEach((value, i) => {
      expect(value).toBeCloseTo(first[i], 6);
    });
    ema.forEach((value, i) => {
      expect(value).toBeCloseTo(0.75 * [0.5, -1, 2, 0.25, 0.75, -0.5][i] + 0.25 * first[i], 6);
    });
    // Twice the gradient at half the scale gives the same step.
    await muon.step([weights], [ema], [momentum], [Float32Array.of(-0.6, 0.8, 2e-3, 0.4, -0.2, 1.2)], {
      ...options,
      scale: 0.5,
    });
    const second = [0.499808107, -0.999947853, 2.000575525, 0.247755161, 0.748944079, -0.495657254];
    weights.forEach((value, i) => {
      expect(value).toBeCloseTo(second[i], 6);
    });
    await muon.dispose();
  });

  test('is Muon for hidden matrices and Adam for all else', async () => {
    const config = parseConfig(presets.small.config);
    const parameters = listParameters(config);
    const state = () => {
      const made = createState(config, createSchedule(paperSchedule), { seed: 'muon', timestepsSampling: 'uniform' });
      made.step = 1;
      return made;
    };
    const gaussian = gaussians(integerStream('muon/gradient'));
    const gradient = Float32Array.from(state().parameters, gaussian);
    const options = { learningRate: 1e-3, scale: 1, emaDecay: 0.9 };
    const [adam, muon] = await Promise.all(
      (['adam', 'muon'] as const).map(async (name) => {
        const optimizer = await createOptimizer(engine, name, parameters);
        const moved = state();
        await optimizer.step(moved, gradient, options);
        await optimizer.dispose();
        return moved;
      }),
    );
    const before = state();
    let offset = 0;
    let hidden = 0;
    for (const spec of parameters) {
      const end = offset + spec.shape.reduce((product, side) => product * side, 1);
      const part = (vector: Float32Array) => vector.subarray(offset, end);
      if (isHiddenMatrix(spec)) {
        hidden++;
        // About 0.2 of Adam's first step, which equals the learning rate in every weight.
        const squares = part(muon.parameters).reduce(
          (sum, value, i) => sum + (value - before.parameters[offset + i]) ** 2,
          0,
        );
        const size = Math.sqrt(squares / (end - offset)) / options.learningRate;
        expect(size, spec.name).toBeGreaterThan(0.1);
        expect(size, spec.name).toBeLessThan(0.26);
        expect(part(muon.v).every((value) => value === 0)).toBe(true);
      } else {
        expect(part(muon.parameters), spec.name).toEqual(part(adam.parameters));
        expect(part(muon.ema), spec.name).toEqual(part(adam.ema));
      }
      offset = end;
    }
    expect(hidden).toBeGreaterThan(20);
  });
});
