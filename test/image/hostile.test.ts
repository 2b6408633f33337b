/** Picture files with changed bytes: each gives a picture or a CodecError, in bounded time and memory. */
import { describe, expect, test } from 'vitest';
import { CodecError } from '../../src/common/errors.js';
import { integerStream } from '../../src/common/random.js';
import { MAX_INPUT_PIXELS, readImageBytes } from '../../src/node/image/read.js';
import { syntheticImage, toSharp, withDisc } from '../helpers/fixtures.js';

const FORMATS = ['png', 'jpeg', 'webp', 'tiff', 'gif', 'avif'] as const;
const FILES = 60;
const picture = withDisc(syntheticImage(48, 40));

/** Changes a few bytes, more often near the beginning, where sizes and offsets are. Or truncates, repeats, or inserts large numbers. */
function mutated(original: Buffer, seed: string): Buffer {
  const next = integerStream(seed);
  const below = (most: number) => (next() >>> 0) % most;
  let bytes = Buffer.from(original);
  for (let changes = 1 + below(6); changes > 0; changes--) {
    const at = below(2) === 0 ? below(Math.min(128, bytes.length)) : below(bytes.length);
    const kind = below(5);
    if (kind === 0) bytes[at] = below(256);
    else if (kind === 1) bytes[at] ^= 1 << below(8);
    else if (kind === 2) bytes.fill(255, at, Math.min(bytes.length, at + 1 + below(4)));
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(bytes.length))]);
    else bytes = bytes.subarray(0, Math.max(1, at));
    if (bytes.length === 0) return Buffer.from([0]);
  }
  return bytes;
}

describe.each(FORMATS)('%s', (format) => {
  test('with changed bytes', async () => {
    const original = await toSharp(picture)[format]().toBuffer();
    const outcomes = { read: 0, refused: 0 };
    for (let i = 0; i < FILES; i++) {
      const seed = `hostile ${format} ${i}`;
      try {
        const { width, height, data } = await readImageBytes(mutated(original, seed), seed);
        expect(width * height).toBeLessThanOrEqual(MAX_INPUT_PIXELS);
        expect(data.length).toBe(width * height * 3);
        outcomes.read++;
      } catch (error) {
        if (!(error instanceof CodecError)) throw new Error(seed, { cause: error });
        expect([error.code, error.message]).toEqual(['image', expect.stringMatching(/^[\x20-\x7e]{1,400}$/)]);
        outcomes.refused++;
      }
    }
    expect(outcomes.refused).toBeGreaterThan(0);
  });
});
