/** The update as a function, compared with PyTorch's results for the same weights. */
import { expect, test } from 'vitest';
import { type HostTensor, sizeOf } from '../../src/engine/engine.js';
import { createUpdate, levelsOf, listUpdateParameters, outputScale } from '../../src/model/update.js';
import { openEngine } from '../../src/node/engine/index.js';

const [HEIGHT, WIDTH] = [6, 8];
const SHAPE = { features: 48, kept: 2, width: 4 };
/** snr of the two examples. */
const BEFORE = [0.5, 20];
const AFTER = [1, 70];

/** sin(frequency i + phase). */
const wave = (length: number, frequency: number, phase = 0) =>
  Float32Array.from({ length }, (_, i) => Math.sin(frequency * i + phase));
const pictures = (channels: number, frequency: number) => wave(2 * HEIGHT * WIDTH * channels, frequency);

/**
 * xhat0 of the later states, two pictures of 6x8: [N, H, W, 3]. Computed by PyTorch 2 (float32) for the same network, bench/torch/update.py,
 * with parameters 0.3 sin(1.3 i + number of the parameter): with S for `gather`,
 * h = silu((conv_in(S(a)) + conv_kept(S(keep(f)))) (1 + g0) + g1), a = (xhat0, (u - xhat0) sqrt(snr_s - snr_t), (y - xhat0) sqrt(snr_t));
 * h += silu(conv_1(h) (1 + g2) + g3); h += silu(conv_2(h)); h += silu(conv_3(h)); xhat0 + 0.15 / sqrt(snr_s) S^-1(conv_out(h));
 * g = linear_2(silu(linear_1(ln(snr_t) / 3 - 1, 2 ln(snr_s / snr_t) - 1))).
 */
const EXPECTED = [
  { at: [0, 0, 0], values: [1.0642268657684326, -0.08572202920913696, 1.5355221033096313] },
  { at: [0, 2, 3], values: [0.18490052223205566, 1.4298899173736572, -1.1148619651794434] },
  { at: [1, 5, 7], values: [1.2253915071487427, 0.2066456377506256, -0.15300112962722778] },
];
const MEAN_SQUARE = 0.7996094226837158;

test.each(['onnx', 'wasm'] as const)('gives what PyTorch gives (%s)', async (name) => {
  const tensors = new Map<string, HostTensor>(
    listUpdateParameters(SHAPE).map(({ name, shape }, phase) => [
      name,
      { shape, data: wave(sizeOf(shape), 1.3, phase).map((value) => 0.3 * value) },
    ]),
  );
  const update = createUpdate(tensors, SHAPE.features);
  const [xhat0, u, y] = [0.91, 0.53, 0.29].map((frequency) => pictures(3, frequency));
  const pixels = HEIGHT * WIDTH;
  const observed = Array.from({ length: 2 * pixels }, (_, pixel) => {
    const n = Math.floor(pixel / pixels);
    const each = (of: (i: number) => number) => [0, 1, 2].map((c) => of(3 * pixel + c));
    return [
      ...each((i) => xhat0[i]),
      ...each((i) => (u[i] - xhat0[i]) * Math.sqrt(AFTER[n] - BEFORE[n])),
      ...each((i) => (y[i] - xhat0[i]) * Math.sqrt(BEFORE[n])),
    ];
  });
  const engine = await openEngine(name);
  const image = [2, HEIGHT, WIDTH];
  const keep = await engine.compile(update.keep, [[...image, SHAPE.features]], update.keepConstants);
  const [kept] = await keep.run([pictures(SHAPE.features, 0.37)]);
  const fn = await engine.compile(
    update.fn,
    [
      [...image, SHAPE.kept],
      [...image, 9],
      [2, 2],
    ],
    update.constants,
  );
  const levels = BEFORE.flatMap((before, n) => levelsOf(before, AFTER[n]));
  const [output] = await fn.run([kept, Float32Array.from(observed.flat()), Float32Array.from(levels)]);
  await engine.dispose();
  const updated = output.map((value, i) => xhat0[i] + outputScale(AFTER[Math.floor(i / (3 * pixels))]) * value);
  for (const { at, values } of EXPECTED) {
    const [n, row, column] = at;
    const first = 3 * ((n * HEIGHT + row) * WIDTH + column);
    values.forEach((value, c) => {
      expect(updated[first + c]).toBeCloseTo(value, 4);
    });
  }
  expect(updated.reduce((sum, value) => sum + value ** 2, 0) / updated.length).toBeCloseTo(MEAN_SQUARE, 4);
});
