/** Optional sections of a file: checksums of steps, and metadata. */
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EncodeOptions } from '../../src/codec/api.js';
import { crc16 } from '../../src/codec/bits/checksum.js';
import { leb128 } from '../../src/codec/bits/leb128.js';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { readInfo } from '../../src/codec/format/info.js';
import { readLayout } from '../../src/codec/format/layout.js';
import {
  type Metadata,
  MOST_METADATA_BYTES,
  metadataBytes,
  readMetadata,
  writeMetadata,
} from '../../src/codec/format/metadata.js';
import type { PlannedStep } from '../../src/codec/format/plan.js';
import { addChecksums, flippedBit, sectionsOf, soundSteps, stepEnds } from '../../src/codec/format/sections.js';
import type { RgbImage } from '../../src/image/image.js';
import { rmse } from '../../src/image/metrics.js';
import { openEngine } from '../../src/node/engine/index.js';
import { type Model, openModel, openModelFor } from '../../src/node/models.js';
import { cifarTestImages } from '../helpers/fixtures.js';

const steps: fc.Arbitrary<PlannedStep[]> = fc.array(
  fc.record({
    t: fc.constant(2),
    s: fc.constant(1),
    blocks: fc.integer({ min: 1, max: 3 }),
    blockBits: fc.integer({ min: 8, max: 300 }),
    asks: fc.constant(true),
  }),
  { maxLength: 20 },
);

const payloadFor = (planned: readonly PlannedStep[], seed: number) => {
  const bits = planned.reduce((sum, { blocks, blockBits }) => sum + blocks * blockBits, 0);
  const bytes = Uint8Array.from({ length: Math.ceil(bits / 8) }, (_, i) => Math.imul(seed + i, 2654435761) >>> 24);
  if (bits & 7) bytes[bytes.length - 1] &= 0xff00 >> (bits & 7);
  return bytes;
};

test('CRC-16 has the check value of CRC-16/IBM-3740', () => {
  expect(crc16(Buffer.from('123456789'))).toBe(0x29b1);
});

describe('sections', () => {
  test('cover all steps, and only the last may be short', () => {
    fc.assert(
      fc.property(steps, (planned) => {
        const sections = sectionsOf(planned);
        expect(sections.at(-1)?.endStep ?? 0).toBe(planned.length);
        sections.forEach(({ firstStep, start, end }, i) => {
          expect(firstStep).toBe(i === 0 ? 0 : sections[i - 1].endStep);
          expect(start).toBe(i === 0 ? 0 : sections[i - 1].end + 16);
          if (i < sections.length - 1) expect(end - start).toBeGreaterThanOrEqual(256);
        });
      }),
    );
  });

  test('what was written is sound, cut off anywhere; one flipped bit is found in its section', () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.nat(), (planned, seed, place) => {
        const bytes = addChecksums(payloadFor(planned, seed), planned);
        expect(bytes.length).toBe(Math.ceil((stepEnds(planned, true).at(-1) ?? 0) / 8));
        expect(soundSteps(bytes.subarray(0, place % (bytes.length + 1)), planned)).toBe(planned.length);
        if (bytes.length === 0) return;
        const bit = place % (stepEnds(planned, true).at(-1) as number);
        const damaged = bytes.slice();
        damaged[bit >>> 3] ^= 128 >> (bit & 7);
        const section = sectionsOf(planned).find(({ end }) => bit < end + 16);
        expect(soundSteps(damaged, planned)).toBe(section?.firstStep);
        expect(flippedBit(damaged, section!)).toBe(bit);
      }),
    );
  });

  test('two flipped bits are never taken for one, and in a section that is too long none is', () => {
    const long = 2 ** 15 - 1 - 16;
    const section = (bits: number) => {
      const planned = [{ t: 2, s: 1, blocks: 1, blockBits: bits, asks: true }];
      return { bytes: addChecksums(payloadFor(planned, 1), planned), bits: { start: 0, end: bits } };
    };
    const flip = (bytes: Uint8Array, bit: number) => {
      bytes[bit >>> 3] ^= 128 >> (bit & 7);
    };
    const places = fc.uniqueArray(fc.nat(), { minLength: 2, maxLength: 2, selector: (place) => place % (long + 16) });
    fc.assert(
      fc.property(places, (two) => {
        const { bytes, bits } = section(long);
        for (const place of two) flip(bytes, place % (long + 16));
        expect(flippedBit(bytes, bits)).toBeUndefined();
        flip(bytes, two[0] % (long + 16));
        expect(flippedBit(bytes, bits)).toBe(two[1] % (long + 16));
      }),
      { numRuns: 20 },
    );
    const { bytes, bits } = section(long + 1);
    flip(bytes, 7);
    expect(flippedBit(bytes, bits)).toBeUndefined();
  });
});

/** Maps that would be unpacked to gigabytes, and other extensions. */
const EXTENDED: Readonly<Record<string, readonly number[]>> = {
  'lists of twice the list before': [
    ...[0xdc, 0, 41, 0xd6, 0x69, 0, 0, 0, 0, 0x90],
    ...Array.from({ length: 40 }, (_, k) => {
      const before = [0xd6, 0x70, 0, 0, 0, k];
      return [0xd6, 0x69, 0, 0, 0, k + 1, 0x92, ...before, ...before];
    }).flat(),
    0,
  ],
  'texts that are read again and again': [
    ...[0xdc, 7001 >> 8, 7001 & 255, 0xc4, 4, 0xa0, 0xda, 0xd0, 0],
    ...Array.from({ length: 7000 }, (_, i) => {
      const back = -(6 + 8 * i);
      return [0xd6, 0x62, (back >> 24) & 255, (back >> 16) & 255, (back >> 8) & 255, back & 255, 0xc1, 100];
    }).flat(),
  ],
  'a record': [0xd4, 0x72, 0x40, 0x91, 0xa7, ...Buffer.from('comment'), 0xa1, 0x61],
  'a time': [0x81, 0xa1, 0x61, 0xd6, 0xff, 0, 0, 0, 0],
  'the byte that is never used': [0x81, 0xa1, 0x61, 0xc1],
};

describe('metadata', () => {
  const texts: fc.Arbitrary<Metadata> = fc
    .record({ source: fc.string(), comment: fc.string({ unit: 'binary' }), software: fc.string() })
    .map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== '')));

  test('are read back, and not from less', () => {
    fc.assert(
      fc.property(texts, fc.uint8Array({ maxLength: 5 }), (metadata, behind) => {
        const bytes = writeMetadata(metadata);
        expect(readMetadata(Uint8Array.from([...bytes, ...behind]))).toEqual({ metadata, damaged: false });
        for (let length = 0; length < bytes.length; length++) {
          expect(readMetadata(bytes.subarray(0, length))).toEqual({ damaged: false });
        }
      }),
      { numRuns: 50 },
    );
  });

  test('that are damaged or of another kind are left out', () => {
    const bytes = writeMetadata({ comment: 'a picture' });
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >>> 3] ^= 128 >> (bit & 7);
      // With a larger length they are like metadata that are cut off.
      const isCutOff = bit > 0 && bit < 8 && damaged[0] > bytes[0];
      expect(readMetadata(damaged)).toEqual({ damaged: !isCutOff });
    }
    expect(metadataBytes(Uint8Array.of(0x80 | bytes[0], ...bytes.subarray(1)))).toBeUndefined();
    expect(() => writeMetadata({ comment: 'x'.repeat(MOST_METADATA_BYTES) })).toThrow(/at most 65535 bytes/);
  });

  /** Metadata with this map. */
  const withMap = (map: readonly number[]) => {
    const checksum = crc16(Uint8Array.from(map));
    return Uint8Array.from([...leb128(map.length), ...map, checksum >> 8, checksum & 255]);
  };
  const packed = (values: unknown) => [...new Packr({ useRecords: false }).pack(values)];

  test('may have other keys of all kinds, which are ignored', () => {
    const others = [0, -1, -40, 300, 7e4, 2 ** 40, -300, -7e4, 0.5, true, null, 'x'.repeat(40), 'y'.repeat(300)];
    const all = { comment: 'a', others, nested: { bytes: new Uint8Array(300), list: new Array(20).fill([]) } };
    expect(readMetadata(withMap(packed(all)))).toEqual({ metadata: { comment: 'a' }, damaged: false });
  });

  test.each(Object.entries(EXTENDED))('with extensions are left out: %s', (_, map) => {
    expect(readMetadata(withMap(map))).toEqual({ damaged: true });
  });
});

describe('files', () => {
  let model: Model;
  let image: RgbImage;
  const plain: EncodeOptions = { targetRmse: 10, effort: 1 };
  const full: EncodeOptions = { ...plain, checksums: true, metadata: { source: 'a.png', comment: 'été' } };

  beforeAll(async () => {
    model = await openModel('pilot', await openEngine('onnx'));
    image = (await cifarTestImages())[0];
  });

  afterAll(() => model.dispose());

  test('with both decode to the same picture, and say what they are', async () => {
    const [a, b] = [await encode(image, model, plain), await encode(image, model, full)];
    expect((await decode(b.bytes, model)).image.data).toEqual(a.reconstruction.data);
    const info = readInfo(b.bytes, model);
    expect(info).toMatchObject({
      checksums: true,
      metadata: { source: 'a.png', comment: 'été' },
      complete: true,
      bytesWhenComplete: b.bytes.length,
    });
    expect(info.steps!.map(({ bytes }) => bytes)).toEqual(b.steps.map(({ bits }) => Math.ceil(bits / 8)));
    const end = info.steps!.at(-1)!.bytes;
    expect(readInfo(b.bytes.subarray(0, end), model)).toMatchObject({
      complete: false,
      stepsComplete: b.steps.length - 1,
    });
    expect(readInfo(b.bytes.subarray(0, end), model).bytesWhenComplete).toBeUndefined();
    const all = await encode(image, model, { ...full, maxBytes: b.bytes.length - 1, targetRmse: 1e-9 });
    expect(all.bytes.length).toBeLessThan(b.bytes.length);
  });

  test('damage is found; of one bit it is mended, of more a picture is nearer than that of what came before', async () => {
    const { bytes, steps: reports, reconstruction } = await encode(image, model, full);
    const damaged = bytes.slice();
    const at = Math.floor(reports[Math.floor(reports.length / 2)].bits / 8) + 2;
    damaged[at] ^= 4;
    const refusal: Error = await decode(damaged, model).then(
      () => expect.fail('damage was not noticed'),
      (reason) => reason,
    );
    expect(refusal.message).toMatch(/damaged after step \d+, byte \d+.*`tolerant`/);
    const mended = await decode(damaged, model, { tolerant: true });
    expect(mended).toMatchObject({ damaged: true, lossless: false });
    expect(mended.image.data).toEqual(reconstruction.data);
    damaged[at] ^= 1;
    const kept = await decode(damaged, model, { tolerant: true });
    expect(kept).toMatchObject({ damaged: true, stepsUsed: reports.length - 1 });
    const maxSteps = Number(/after step (\d+)/.exec(refusal.message)![1]);
    const before = await decode(damaged, model, { tolerant: true, maxSteps });
    expect(before.image.data).toEqual((await decode(bytes, model, { maxSteps })).image.data);
    expect(rmse(kept.image, image)).toBeLessThan(rmse(before.image, image));
  });

  test('of one flipped bit nothing is seen anywhere in its section, and one of the header is no hindrance', async () => {
    const { bytes } = await encode(image, model, { effort: 1, targetRmse: 5, checksums: true });
    const { boundaries, written } = readLayout(bytes, model);
    const [section] = sectionsOf(written).filter(({ firstStep, endStep }) => endStep - firstStep > 1);
    const damaged = bytes.slice();
    damaged[boundaries[0] + ((section.start + 12) >>> 3)] ^= 4;
    const maxSteps = section.firstStep + 1;
    const cut = await decode(damaged, model, { tolerant: true, maxSteps });
    expect([cut.damaged, cut.image]).toEqual([true, (await decode(bytes, model, { maxSteps })).image]);
    const inHeader = bytes.slice();
    inHeader[3] ^= 16;
    const found = await openModelFor(inHeader, model.engine, 'pilot');
    const whole = await decode(inHeader, found, { tolerant: true });
    expect([whole.damaged, whole.image]).toEqual([true, (await decode(bytes, model)).image]);
    await expect(decode(inHeader, found)).rejects.toThrow();
    await found.dispose();
  });

  test('lossless ones too', async () => {
    const small: RgbImage = { width: 9, height: 6, data: image.data.slice(300, 300 + 162) };
    const { bytes } = await encode(small, model, { lossless: true, checksums: true, metadata: { comment: 'x' } });
    const { lossless, complete, image: decoded } = await decode(bytes, model);
    expect([lossless, complete, decoded.data]).toEqual([true, true, small.data]);
    expect(readInfo(bytes, model)).toMatchObject({ metadata: { comment: 'x' }, bytesWhenComplete: bytes.length });
  });
});
