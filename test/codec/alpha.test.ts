/** Transparent pictures through the codec: the plane is exact, and everything that can happen to it is reported. */
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { beforeAll, describe, expect, it, test } from 'vitest';
import type { EncodeOptions } from '../../src/codec/api.js';
import { decode } from '../../src/codec/decoder/decode.js';
import { openDecoder } from '../../src/codec/decoder/decoder.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { leastFile } from '../../src/codec/encoder/least-bytes.js';
import { alphaPlaneBytes, readAlphaPlane, writeAlphaPlane } from '../../src/codec/format/alpha-plane.js';
import { readHeader } from '../../src/codec/format/header.js';
import { readInfo, truncate } from '../../src/codec/format/info.js';
import type { CodecModel } from '../../src/codec/model.js';
import type { RgbImage } from '../../src/image/image.js';
import { rmse } from '../../src/image/metrics.js';
import { openBlurModel } from '../helpers/blur-model.js';
import { syntheticImage, withDisc } from '../helpers/fixtures.js';

const image = withDisc(syntheticImage(24, 20));
const KINDS: Readonly<Record<string, EncodeOptions>> = {
  lossy: { targetRmse: 20 },
  checked: { targetRmse: 20, checksums: true, metadata: { comment: 'a' } },
  lossless: { lossless: true, effort: 1 },
  'lossless and checked': { lossless: true, effort: 1, checksums: true },
};
const files = new Map<string, Uint8Array>();
let model: CodecModel;

beforeAll(async () => {
  model = await openBlurModel();
  for (const [kind, options] of Object.entries(KINDS)) files.set(kind, (await encode(image, model, options)).bytes);
});

/** Bytes of a file's header and plane. */
function partsOf(bytes: Uint8Array): { header: number; plane: number; end: number } {
  const { headerBytes, alphaBytes } = readInfo(bytes);
  return { header: headerBytes, plane: alphaBytes!, end: headerBytes + alphaBytes! };
}

/** Planes of a few kinds: flat, cut out, soft, random. */
const planes = (pixels: number) =>
  fc.oneof(
    fc.integer({ min: 0, max: 255 }).map((level) => new Uint8Array(pixels).fill(level)),
    fc.integer({ min: 0, max: pixels }).map((from) => new Uint8Array(pixels).fill(255, from)),
    fc.integer({ min: 1, max: 40 }).map((step) => Uint8Array.from({ length: pixels }, (_, i) => (i * step) & 255)),
    fc.uint8Array({ minLength: pixels, maxLength: pixels }),
  );

const sides = fc.tuple(fc.integer({ min: 1, max: 14 }), fc.integer({ min: 1, max: 14 }));
const transparent = sides.chain(([width, height]) =>
  fc.record({
    data: fc.oneof(
      fc.constant(syntheticImage(width, height).data),
      fc.uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 }),
    ),
    alpha: planes(width * height),
    width: fc.constant(width),
    height: fc.constant(height),
  }),
);

test('every plane comes back, with and without a checksum', () => {
  fc.assert(
    fc.property(transparent, fc.boolean(), ({ alpha, ...size }, checksums) => {
      const section = writeAlphaPlane(size, alpha, checksums);
      expect(alphaPlaneBytes(section, checksums)).toBe(section.length);
      expect(readAlphaPlane(section, size, checksums)).toEqual(alpha);
    }),
  );
});

test('cut-out planes are short, and noise is hardly longer than it is', () => {
  const size = { width: 64, height: 64 };
  const half = Uint8Array.from({ length: 4096 }, (_, i) => (i % 64 < 30 ? 255 : 0));
  expect(writeAlphaPlane(size, half, false).length).toBeLessThan(60);
  let state = 1;
  const noise = half.map(() => {
    state = (state * 48271) % 2147483647;
    return state >> 8;
  });
  expect(writeAlphaPlane(size, noise, false).length).toBeLessThan(1.06 * 4096);
});

test('pictures come back with their opacity and the error that was told, which is that of what is seen', async () => {
  const options: fc.Arbitrary<EncodeOptions> = fc.constantFrom(
    { targetRmse: 5, effort: 1 },
    { targetRmse: 30, effort: 1, checksums: true },
    { lossless: true, effort: 1 },
  );
  await fc.assert(
    fc.asyncProperty(transparent, options, async (picture, wish) => {
      const result = await encode(picture, model, wish);
      const decoded = await decode(result.bytes, model);
      const isOpaque = picture.alpha.every((opacity) => opacity === 255);
      expect(decoded.image.alpha).toEqual(isOpaque ? undefined : picture.alpha);
      expect(decoded).toMatchObject({ alpha: isOpaque ? 'none' : 'whole', complete: true });
      expect(decoded.image).toEqual(result.reconstruction);
      expect(rmse(decoded.image, picture)).toBe(result.rmse);
      expect(result.rmse).toBeLessThanOrEqual(wish.targetRmse ?? 0);
      expect(decoded.lossless).toBe(wish.lossless === true);
    }),
    { numRuns: 40 },
  );
});

test('what stands under full transparency makes no difference, nor does a plane that is opaque', async () => {
  const hidden = { ...image, data: image.data.map((value, i) => (image.alpha![Math.floor(i / 3)] ? value : i & 255)) };
  expect((await encode(hidden, model, KINDS.lossy)).bytes).toEqual(files.get('lossy'));
  const opaque = syntheticImage(24, 20);
  const plain = await encode(opaque, model, KINDS.lossy);
  expect((await encode({ ...opaque, alpha: new Uint8Array(480).fill(255) }, model, KINDS.lossy)).bytes).toEqual(
    plain.bytes,
  );
  expect(plain.alphaBytes).toBe(0);
});

test('a picture of which nothing is seen takes a few bytes', async () => {
  const unseen = { ...syntheticImage(24, 20), alpha: new Uint8Array(480) };
  const { bytes, rmse: error } = await encode(unseen, model);
  expect(bytes.length).toBeLessThan(40);
  expect(error).toBe(0);
  expect((await decode(bytes, model)).image.alpha).toEqual(unseen.alpha);
});

test('its bytes are counted', async () => {
  const result = await encode(image, model, KINDS.lossy);
  const { header, plane, end } = partsOf(result.bytes);
  expect(result.alphaBytes).toBe(plane);
  expect(result.steps[0].bits).toBe(8 * end);
  expect(result.bitsPerDim).toBe((8 * result.bytes.length) / (24 * 20 * 3));
  expect(readHeader(result.bytes).header.alpha).toBe(true);
  expect(readInfo(result.bytes, model)).toMatchObject({ alpha: true, headerBytes: header, complete: true });
  expect(readInfo(result.bytes, model).steps![0].bytes).toBe(end);
});

describe('a size', () => {
  it('below header and plane is refused, and the plane named', async () => {
    const least = leastFile(image, {}).bytes;
    const refused = encode(image, model, { maxBytes: least - 1 });
    await expect(refused).rejects.toThrow(
      `expected at least the ${least} bytes of the header and the alpha plane, got ${least - 1}`,
    );
    const { bytes, rmse: error, alphaBytes } = await encode(image, model, { maxBytes: least });
    expect(bytes.length).toBeLessThanOrEqual(least);
    expect(alphaBytes).toBeGreaterThan(5);
    expect(error).toBeGreaterThan(0);
    const said = encode(image, model, { maxBytes: 20, metadata: { comment: 'a' } });
    await expect(said).rejects.toThrow(/of the header, the alpha plane and the metadata, got 20/);
  });

  it('above is kept to, also by a step that makes nothing better', async () => {
    for (const picture of [image, syntheticImage(24, 20)]) {
      for (const more of [3, 8, 9, 10, 16, 19, 40]) {
        const maxBytes = leastFile(picture, {}).bytes + more;
        const { bytes } = await encode(picture, model, { maxBytes });
        expect(bytes.length).toBeLessThanOrEqual(maxBytes);
      }
    }
  });
});

test('a plane of another size is refused', async () => {
  const wrong = { ...image, alpha: new Uint8Array(479) };
  await expect(encode(wrong, model)).rejects.toThrow(
    /image alpha: expected none or a Uint8Array of 480 samples, got Uint8Array of 479 values/,
  );
});

describe.each(Object.keys(KINDS))('a file that is %s', (kind) => {
  it('decodes as opaque where it ends inside the plane, and says so', async () => {
    const bytes = files.get(kind)!;
    const { header, end } = partsOf(bytes);
    for (let length = header; length < end; length++) {
      const cut = truncate(bytes, length);
      for (const source of [cut, bytes]) {
        const result = await decode(source, model, { maxBytes: length });
        expect(result).toMatchObject({ alpha: 'missing', stepsUsed: 0, bytesUsed: header });
        expect(result.complete).toBe(source === bytes);
        expect(result.image.alpha).toBeUndefined();
      }
      const info = readInfo(cut, model);
      expect(info).toMatchObject({ alpha: true, complete: false, stepsComplete: 0 });
      expect(info.steps === undefined).toBe(info.alphaBytes === undefined);
      expect(openDecoder(model).state).toEqual({ needs: 'header' });
    }
    const whole = await decode(truncate(bytes, end), model);
    expect(whole).toMatchObject({ alpha: 'whole', stepsUsed: 0, bytesUsed: end });
    expect(whole.image.alpha).toEqual(image.alpha);
  });

  it('gives a point before the plane and one after it, as the bytes come', async () => {
    const bytes = files.get(kind)!;
    const { header, plane, end } = partsOf(bytes);
    const decoder = openDecoder(model);
    const points: [number, string, boolean][] = [];
    const take = async (piece: Uint8Array) => {
      for await (const point of decoder.push(piece)) {
        const picture = await point.reconstruct();
        points.push([point.bytesUsed, point.alpha, picture.image.alpha !== undefined]);
      }
    };
    await take(bytes.subarray(0, header));
    expect(decoder.state).toEqual({ needs: 'alpha' });
    await take(bytes.subarray(header, header + 2));
    expect(decoder.state).toEqual({ needs: 'alpha', bytes: plane - 2 });
    expect(decoder.end()).toMatchObject({ alpha: 'missing', bytesUsed: header });
    await take(bytes.subarray(header + 2, end - 1));
    expect(decoder.state).toEqual({ needs: 'alpha', bytes: 1 });
    expect(points).toEqual([[header, 'missing', false]]);
    await take(bytes.subarray(end - 1, end));
    expect(points.slice(1)).toEqual([[end, 'whole', true]]);
    expect(decoder.state.needs).not.toBe('alpha');
    for (let i = end; i < bytes.length; i++) await take(bytes.subarray(i, i + 1));
    expect(points.length).toBeGreaterThan(2);
    expect(points.slice(1).every(([, alpha, is]) => alpha === 'whole' && is)).toBe(true);
    const streamed = await decode(new Blob([Uint8Array.from(bytes)]).stream(), model);
    const { bytesTotal, image: picture, complete } = await decode(bytes, model);
    expect(streamed).toMatchObject({ alpha: 'whole', bytesTotal, complete, image: picture });
  });

  it('has the plane also where no step is wanted', async () => {
    const bytes = files.get(kind)!;
    for (const source of [bytes, new Blob([Uint8Array.from(bytes)]).stream()]) {
      const result = await decode(source, model, { maxSteps: 0 });
      expect(result).toMatchObject({ alpha: 'whole', stepsUsed: 0, knownSamples: 0, bytesUsed: partsOf(bytes).end });
    }
  });

  it('shows opaque pictures at sizes before its end', async () => {
    const bytes = files.get(kind)!;
    const { header, end } = partsOf(bytes);
    const shown: [number, string][] = [];
    const onPoint = ({ bytesUsed, alpha }: { bytesUsed: number; alpha: string }) => void shown.push([bytesUsed, alpha]);
    await decode(bytes, model, { progressivePoints: [header, end - 1, end], maxBytes: end, onPoint });
    expect(shown).toEqual([
      [header, 'missing'],
      [header, 'missing'],
      [end, 'whole'],
    ]);
  });
});

describe('damage in the plane', () => {
  /** A file with one flipped bit in its plane's code. */
  const damaged = (kind: string) => {
    const bytes = files.get(kind)!.slice();
    bytes[partsOf(bytes).header + 5] ^= 4;
    return bytes;
  };

  it.each(['checked', 'lossless and checked'])('of a file that is %s is noticed by its checksum', async (kind) => {
    await expect(decode(damaged(kind), model)).rejects.toThrow(/the alpha plane, right after the header, is damaged/);
    const kept = await decode(damaged(kind), model, { tolerant: true });
    expect(kept).toMatchObject({ damaged: true, alpha: 'missing', stepsUsed: 0 });
    expect(kept.image.alpha).toBeUndefined();
  });

  it('in its length is treated alike', async () => {
    const bytes = files.get('lossy')!.slice();
    const { header } = partsOf(bytes);
    bytes.fill(0xff, header, header + 5);
    const stream = () => Readable.from(Array.from(bytes, (byte) => Uint8Array.of(byte)));
    for (const source of [() => bytes, stream]) {
      await expect(decode(source(), model)).rejects.toMatchObject({ code: 'format' });
      const kept = await decode(source(), model, { tolerant: true });
      expect(kept).toMatchObject({ damaged: true, complete: false, alpha: 'missing', stepsUsed: 0, bytesUsed: header });
    }
  });

  it('of a lossless file is noticed by that of the picture', async () => {
    await expect(decode(damaged('lossless'), model)).rejects.toMatchObject({ code: 'format' });
    const kept = await decode(damaged('lossless'), model, { tolerant: true });
    expect(kept.lossless).toBe(false);
    expect(kept.damaged).toBe(true);
  });

  it('does not get past a decoder as anything but a picture or a format error', async () => {
    const bytes = files.get('lossy')!;
    const { header, end } = partsOf(bytes);
    const places = fc.array(fc.tuple(fc.integer({ min: header, max: end - 1 }), fc.integer({ min: 1, max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(places, async (changes) => {
        const broken = bytes.slice();
        for (const [at, bits] of changes) broken[at] ^= bits;
        const outcome = await decode(broken, model, { maxSteps: 1 }).then(
          ({ image: { alpha } }) => alpha?.length ?? 480,
          (error: { code?: string }) => error.code,
        );
        expect([480, 'format']).toContain(outcome);
      }),
      { numRuns: 60 },
    );
  });
});

test('what has no use for transparency refuses it', async () => {
  const { calibrate } = await import('../../src/codec/calibration.js');
  const pictures: RgbImage[] = Array(8).fill(image);
  await expect(calibrate(pictures, model)).rejects.toThrow(/calibration: expected a picture without transparency/);
});
