/** The update as a function, compared with PyTorch's results for the same weights. */
import { expect, test } from 'vitest';
import { type HostTensor, sizeOf } from '../../src/engine/engine.js';
import { createUpdate, levelsOf, listUpdateParameters, outputScale } from '../../src/model/update.js';
import { openEngine } from '../../src/node/engine/index.js';

const [HEIGHT, WIDTH] = [5, 6];
const SHAPE = { features: 48, kept: 2, width: 4 };
/** snr of the two examples. */
const BEFORE = [0.5, 20];
const AFTER = [1, 70];

/** sin(frequency i + phase). */
const wave = (length: number, frequency: number, phase = 0) =>
  Float32Array.from({ length }, (_, i) => Math.sin(frequency * i + phase));
const pictures = (channels: number, frequency: number) => wave(2 * HEIGHT * WIDTH * channels, frequency);

/**
 * xhat0 of the later states, two pictures of 5x6: [N, H, W, 3]. Computed by PyTorch 2 (float32) for the same network in NCHW:
 * h = silu((a + pad(keep(f))) (1 + g0) + g1), a = conv_in of (xhat0, (u - xhat0) sqrt(snr_s - snr_t), (y - xhat0) sqrt(snr_t));
 * h += silu(conv_1(h) (1 + g2) + g3); h += silu(conv_2(h)); xhat0 + 0.15 / sqrt(snr_s) conv_out(h);
 * g = linear_2(silu(linear_1(ln(snr_t) / 3 - 1, 2 ln(snr_s / snr_t) - 1))).
 */
const EXPECTED = [
  { at: [0, 0, 0], values: [-1.0288851261138916, 1.4421205520629883, 0.77424156665802] },
  { at: [0, 2, 3], values: [-1.1230612993240356, 0.02544492483139038, -1.571975827217102] },
  { at: [1, 4, 5], values: [-0.9900151491165161, -0.7774742841720581, -0.6027364730834961] },
];
const MEAN_SQUARE = 1.4087423086166382;

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
