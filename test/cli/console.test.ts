import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteBudget, bytesForRate, integer, positive } from '../../src/cli/args.js';
import { describeError, table, toJson } from '../../src/cli/console.js';
import { distinctLabels, openProgressiveOutput } from '../../src/cli/decode/progressive.js';
import { CodecError } from '../../src/common/errors.js';
import { temporaryDirectory } from '../helpers/fixtures.js';

const usage = expect.objectContaining({ code: 'usage' });

describe('what is printed', () => {
  it('tells an error in one line, and a defect as such', () => {
    expect(describeError(new CodecError('file', 'a\nb\r\n  c\n'))).toBe('a; b; c');
    expect(describeError(new TypeError('x is not a function'))).toMatch(
      /^internal error: x is not a function; .*report/,
    );
  });

  it('names the options of the library as the flags of the command', () => {
    const error = new CodecError(
      'usage',
      '`maxBytes`, `maxSteps`, `maxPixels`, `tolerant`, `learningRate`; `other` x`y',
    );
    expect(describeError(error, 'encode')).toBe(
      '--max-bytes, decode --steps, --max-pixels, decode --tolerant, --lr; `other` x`y',
    );
    expect(describeError(error, 'decode')).toBe('--bytes, --steps, --max-pixels, --tolerant, --lr; `other` x`y');
  });

  it('is valid JSON', () => {
    expect(JSON.parse(toJson({ psnr: Number.POSITIVE_INFINITY, rate: 0.5 }))).toEqual({ psnr: null, rate: 0.5 });
  });

  it('aligns columns', () => {
    const rows = [
      ['name', 'n', ''],
      ['a', '100', 'x'],
    ];
    expect(table(rows, [0, 2])).toEqual(['name    n', 'a     100  x']);
  });
});

describe('numbers', () => {
  it('are accepted in their range and refused elsewhere', () => {
    expect([integer('--x', undefined, 1), integer('--x', 1, 1, 3), integer('--x', 3, 1, 3)]).toEqual([undefined, 1, 3]);
    expect([positive('--x', undefined, 'm'), positive('--x', 1e-9, 'm')]).toEqual([undefined, 1e-9]);
    for (const value of [0, 4, 1.5, Number.NaN, '1', '', true])
      expect(() => integer('--x', value, 1, 3)).toThrow(usage);
    for (const value of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 'abc']) {
      expect(() => positive('--x', value, 'm')).toThrow(usage);
    }
  });

  it('turn a rate into bytes, never above it', () => {
    expect(bytesForRate(1, { width: 32, height: 32 })).toBe(384);
    expect(bytesForRate(0.3, { width: 5, height: 3 })).toBe(1);
    expect(bytesForRate(1 / 49, { width: 784, height: 512 })).toBe(3072);
    const header = { width: 32, height: 32, leastBytes: 12 };
    expect(byteBudget({ rate: undefined, bytes: undefined }, header)).toBeUndefined();
    expect(byteBudget({ rate: undefined, bytes: 12 }, header)).toBe(12);
    expect(byteBudget({ rate: 0.5, bytes: undefined }, header)).toBe(192);
    expect(() => byteBudget({ rate: undefined, bytes: 11 }, header)).toThrow(/--bytes: .*the header \(12 bytes/);
    expect(() => byteBudget({ rate: 0.01, bytes: undefined }, header)).toThrow(/--rate: .*0\.0313 bits\/dim/);
  });
});

it('the rate of any number of bytes gives those bytes', () => {
  const side = fc.integer({ min: 1, max: 65535 });
  fc.assert(
    fc.property(side, side, fc.integer({ min: 0, max: 2 ** 30 }), (width, height, bytes) => {
      expect(bytesForRate((8 * bytes) / (width * height * 3), { width, height })).toBe(bytes);
    }),
  );
});

it('the pictures of an earlier decoding are removed with their contact sheet, and nothing else', async () => {
  const directory = await temporaryDirectory();
  for (const name of ['01-0.0100.png', 'contact-sheet.png', 'mine.png']) await writeFile(join(directory, name), 'x');
  await openProgressiveOutput(directory, { force: true });
  expect(await readdir(directory)).toEqual(['mine.png']);
});

describe('labels of rates', () => {
  it('have as many digits as it takes to tell them apart', () => {
    expect(distinctLabels([0.0002, 0.00047, 0.011, 0.37, 1.5])).toEqual([
      '0.00020',
      '0.00047',
      '0.011',
      '0.37',
      '1.50',
    ]);
    expect(distinctLabels([0.1, 0.1002])).toEqual(['0.1000', '0.1002']);
    expect(distinctLabels([])).toEqual([]);
  });
});
