/** The bytes of ONNX models, and which constants of a graph are shared. */
import { expect, test } from 'vitest';
import { GraphBuilder } from '../../src/engine/tracing/graph.js';
import { encodeModel } from '../../src/engine/tracing/onnx-messages.js';

/**
 * Output of onnx-proto 8.0.1 (protobufjs 6.11.6) for the model below, `onnx.ModelProto.encode(model).finish()`, in
 * hexadecimal.
 */
const GOLDEN = [
  '08083ad6030a3f0a017812046d65616e220a5265647563654d65616e2a150a0461786573420affffffffffffffffff01a001072a0f0a086b6565',
  '7064696d731801a001023a000a1d0a046d65616e0a000a046d6f73741207636c69707065642204436c69700a2e0a07636c697070656412056c65',
  '616b7922094c65616b7952656c752a0f0a05616c70686115cdcccc3da001013a000a380a056c65616b790a046269617312017922084269617347',
  '656c752a0d0a046e6f74652202c3a4a001033a0d636f6d2e6d6963726f736f66741205736d616c6c2a0e100142046d6f73744a04000000bf2a15',
  '0a0102100122080000003f000040c04204626961732aae010a0128100142046c6f6e674aa001',
  '07'.repeat(160),
  '5a150a017812100a0e0801120a0a0312014e0a0308ac0262140a0179120f0a0d080112090a0312014e0a02080242040a00101142110a0d636f6d',
  '2e6d6963726f736f66741001',
].join('');

test('a model has the bytes that ONNX says', () => {
  const model = encodeModel({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: 17 },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: {
      name: 'small',
      node: [
        {
          opType: 'ReduceMean',
          input: ['x'],
          output: ['mean'],
          attribute: [
            { name: 'axes', type: 7, ints: [-1] },
            { name: 'keepdims', type: 2, i: 1 },
          ],
          domain: '',
        },
        { opType: 'Clip', input: ['mean', '', 'most'], output: ['clipped'] },
        {
          opType: 'LeakyRelu',
          input: ['clipped'],
          output: ['leaky'],
          attribute: [{ name: 'alpha', type: 1, f: 0.1 }],
          domain: '',
        },
        {
          opType: 'BiasGelu',
          input: ['leaky', 'bias'],
          output: ['y'],
          attribute: [{ name: 'note', type: 3, s: new TextEncoder().encode('ä') }],
          domain: 'com.microsoft',
        },
      ],
      initializer: [
        { name: 'most', dims: [], dataType: 1, rawData: Uint8Array.of(0, 0, 0, 0xbf) },
        { name: 'bias', dims: [2], dataType: 1, floatData: [0.5, -3] },
        { name: 'long', dims: [40], dataType: 1, rawData: new Uint8Array(160).fill(7) },
      ],
      input: [{ name: 'x', elemType: 1, shape: ['N', 300] }],
      output: [{ name: 'y', elemType: 1, shape: ['N', 2] }],
    },
  });
  expect(Buffer.from(model).toString('hex')).toBe(GOLDEN);
});

test('constants of the same shape and bits are one', () => {
  const graph = new GraphBuilder();
  const constant = (shape: number[], ...values: number[]) => graph.floats(shape, Float32Array.from(values));
  const first = constant([2], 0, 1);
  expect(constant([2], 0, 1)).toBe(first);
  const others = [
    constant([2], 1, 0),
    constant([2], -0, 1),
    constant([1, 2], 0, 1),
    constant([2], Number.NaN, 1),
    constant([], 0),
  ];
  expect(new Set([first, ...others]).size).toBe(6);
  expect(constant([2], Number.NaN, 1)).toBe(others[3]);
  const part = Float32Array.of(5, 0, 1).subarray(1);
  expect(graph.floats([2], part)).toBe(first);
});

test('large constants are not looked for', () => {
  const graph = new GraphBuilder();
  const large = new Float32Array(5000);
  expect(graph.floats([5000], large)).not.toBe(graph.floats([5000], large));
});
