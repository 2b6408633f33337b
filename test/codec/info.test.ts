import { expect, test } from 'vitest';
import { type Header, writeHeader } from '../../src/codec/format/header.js';
import { readInfo, truncate } from '../../src/codec/format/info.js';
import { completeSteps, readLayout } from '../../src/codec/format/layout.js';
import { createPlan } from '../../src/codec/format/plan.js';
import { loadModelInfo } from '../../src/node/models.js';

const model = await loadModelInfo('pilot');

const HEADER: Header = {
  version: 7,
  stateBits: 8,
  modelId: model.id.slice(0, 6),
  width: 32,
  height: 20,
  plan: { first: 3, second: -2, load: 1, pace: 0 },
  seed: 99,
  stepCount: 30,
};
const PLAN = createPlan(model, HEADER.plan, HEADER.stateBits, HEADER);

/** A file with this header and `payload` bytes of block indices, by default all that its steps need. */
function fileOf(header: Header, payload?: number): Uint8Array {
  const head = writeHeader(header);
  const steps = PLAN.slice(0, header.stepCount ?? PLAN.length);
  const bits = steps.reduce((sum, { blocks, blockBits }) => sum + blocks * blockBits, 0);
  return Uint8Array.from([...head, ...new Uint8Array(payload ?? Math.ceil(bits / 8)).fill(0x5a)]);
}

test('a header alone tells what it holds, without a model', () => {
  const file = fileOf(HEADER);
  expect(readInfo(file)).toEqual({
    version: 7,
    modelId: HEADER.modelId,
    width: 32,
    height: 20,
    stateBits: 8,
    seed: 99,
    alpha: false,
    alphaBytes: 0,
    tail: false,
    checksums: false,
    headerBytes: writeHeader(HEADER).length,
    bytes: file.length,
  });
});

test('with the model it tells every step', () => {
  const file = fileOf(HEADER);
  const info = readInfo(file, model);
  expect(info).toMatchObject({ complete: true, stepsComplete: 30, bytesWhenComplete: file.length });
  const steps = info.steps!;
  expect(steps.length).toBe(31);
  expect(steps[0]).toMatchObject({ t: 1000, bits: 0, bytes: info.headerBytes });
  let total = 0;
  for (const [i, planned] of PLAN.slice(0, 30).entries()) {
    const bits = planned.blocks * planned.blockBits;
    total += bits;
    const bytes = info.headerBytes + Math.ceil(total / 8);
    expect(steps[i + 1]).toEqual({
      t: planned.s,
      bits,
      bytes,
      bitsPerDim: (bytes * 8) / (32 * 20 * 3),
    });
  }
});

test('a file without a step count has all steps of its plan', () => {
  const { stepCount: _, ...header } = HEADER;
  const file = fileOf(header);
  expect(readInfo(file, model)).toMatchObject({ complete: true, stepsComplete: PLAN.length });
  expect(readLayout(file, model).unwritten).toEqual([]);
  expect(readInfo(file.subarray(0, -1), model)).toMatchObject({ complete: false, stepsComplete: PLAN.length - 1 });
});

test('at every length, a step counts when its last byte is there', () => {
  const file = fileOf(HEADER);
  const { boundaries, headerBytes, written, unwritten } = readLayout(file, model);
  expect([...written, ...unwritten]).toEqual(PLAN);
  for (let length = headerBytes; length <= file.length; length++) {
    const expected = boundaries.filter((end) => end <= length).length - 1;
    const prefix = truncate(file, length);
    expect(prefix).toEqual(file.slice(0, length));
    expect(completeSteps(readLayout(prefix, model), length)).toBe(expected);
    expect(readInfo(prefix, model)).toMatchObject({
      bytes: length,
      stepsComplete: expected,
      complete: length === file.length,
      bytesWhenComplete: file.length,
    });
  }
});

test('a file is cut where it is told, at whole bytes, and never within its header', () => {
  const file = fileOf(HEADER);
  const { headerBytes } = readInfo(file);
  expect(truncate(file, headerBytes).length).toBe(headerBytes);
  expect(truncate(file, headerBytes + 0.9).length).toBe(headerBytes);
  expect(truncate(file, 10 ** 9)).toEqual(file);
  expect(() => truncate(file, headerBytes - 1)).toThrow(/expected at least the 13 bytes of the header, got 12/);
  expect(() => truncate(file, Number.NaN)).toThrow(/expected a number of 0 or more, got NaN/);
  expect(() => truncate(file.subarray(0, 5), 100)).toThrow(/ends inside its header/);
});

test('another model, or more steps than the plan has, are refused', () => {
  const other = fileOf({ ...HEADER, modelId: '000000' });
  expect(() => readInfo(other, model)).toThrow(/needs model 000000, got/);
  expect(readInfo(other).modelId).toBe('000000');
  // All steps of the plan are stated by no number at all.
  for (const stepCount of [PLAN.length, PLAN.length + 1]) {
    const long = fileOf({ ...HEADER, stepCount }, 10);
    const message = `expected fewer than the plan's ${PLAN.length} steps, got ${stepCount}`;
    expect(() => readInfo(long, model)).toThrow(message);
  }
});

test('a stop where no step can end is refused', () => {
  for (const stop of [0, model.schedule.timesteps, 2 ** 14 - 1]) {
    const file = fileOf({ ...HEADER, stop }, 10);
    expect(() => readInfo(file, model)).toThrow(`expected a step that ends at t = ${stop}`);
  }
});
