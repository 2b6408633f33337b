/** Pictures in colour spaces other than sRGB, and with samples other than 8 or 16 bits. */
import { crc32 } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { readImageBytes } from '../../src/node/image/read.js';
import { syntheticImage, toSharp } from '../helpers/fixtures.js';

const read = async (bytes: Buffer) => (await readImageBytes(bytes, 'picture', { background: 'white' })).data;

function chunk(type: string, content: Uint8Array): Buffer {
  const typed = Buffer.concat([Buffer.from(type), content]);
  return Buffer.concat([numbers(content.length), typed, numbers(crc32(typed))]);
}

const numbers = (...values: number[]) =>
  Buffer.concat(
    values.map((value) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      return bytes;
    }),
  );

const AFTER_IHDR = 33;
const withChunks = (png: Buffer, chunks: readonly Buffer[]) =>
  Buffer.concat([png.subarray(0, AFTER_IHDR), ...chunks, png.subarray(AFTER_IHDR)]);

const gamma = (value: number) => chunk('gAMA', numbers(value));
const chromaticities = (...values: number[]) => chunk('cHRM', numbers(...values));
const codePoints = (...values: number[]) => chunk('cICP', Uint8Array.from(values));
const sRGB = chunk('sRGB', Uint8Array.of(0));
/** White, red, green, blue. */
const P3 = chromaticities(31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000);
const WHITE_D50 = chromaticities(34567, 35850, 64000, 33000, 30000, 60000, 15000, 6000);
const NO_COLOURS = chromaticities(31270, 32900, 0, 0, 0, 0, 0, 0);

const GREYS = [0, 1, 5, 10, 20, 40, 80, 120, 160, 200, 230, 254, 255];
const COLOURS = [200, 50, 50, 50, 200, 50, 50, 50, 200, 255, 0, 0, 120, 130, 140, 10, 5, 1];
const greyPng = (values: readonly number[]) =>
  sharp(Uint8Array.from(values), { raw: { width: values.length, height: 1, channels: 1 } })
    .toColourspace('b-w')
    .png();
const colourPng = (values: readonly number[]) =>
  sharp(Uint8Array.from(values), { raw: { width: values.length / 3, height: 1, channels: 3 } }).png();

function expectNear(actual: ArrayLike<number>, expected: readonly number[]): void {
  const differences = expected.map((value, i) => Math.abs(value - actual[i]));
  expect(Math.max(...differences), `${[...Array.from(actual)]} for ${expected}`).toBeLessThanOrEqual(1);
}

/** The chunks, then GREYS and COLOURS as Chromium 156 draws them into an sRGB canvas. */
const AS_CHROMIUM: Readonly<Record<string, readonly [Buffer[], number[] | undefined, number[] | undefined]>> = {
  'gAMA 1': [
    [gamma(100_000)],
    [0, 13, 38, 56, 79, 110, 152, 183, 208, 229, 244, 255, 255],
    [229, 122, 122, 122, 229, 122, 122, 122, 229, 255, 0, 0, 183, 189, 196, 56, 38, 13],
  ],
  'gAMA 1/1.8': [[gamma(55_555)], [0, 0, 3, 10, 26, 53, 99, 139, 176, 210, 235, 254, 255], undefined],
  'gAMA near 1/2.2': [[gamma(47_700)], GREYS, COLOURS],
  'gAMA as little away from 1/2.2 as counts': [
    [gamma(48_000)],
    [0, 0, 1, 4, 16, 40, 84, 126, 165, 204, 232, 254, 255],
    undefined,
  ],
  'gAMA 0': [[gamma(0)], GREYS, COLOURS],
  'gAMA with sRGB': [[gamma(100_000), sRGB], GREYS, COLOURS],
  'gAMA with cHRM': [
    [gamma(45_455), P3],
    [0, 0, 1, 3, 12, 35, 79, 121, 161, 201, 231, 254, 255],
    [219, 14, 35, 0, 205, 0, 46, 46, 209, 255, 0, 0, 118, 131, 142, 3, 0, 0],
  ],
  'cHRM with another white': [
    [gamma(45_455), WHITE_D50],
    [0, 0, 1, 3, 12, 35, 79, 121, 161, 201, 231, 254, 255],
    [210, 49, 51, 0, 201, 59, 39, 44, 198, 255, 16, 25, 119, 131, 141, 3, 1, 0],
  ],
  'cHRM alone': [[P3], GREYS, COLOURS],
  'cHRM that no colours have': [[gamma(100_000), NO_COLOURS], GREYS, COLOURS],
  'cICP of sRGB': [[codePoints(1, 13, 0, 1)], GREYS, COLOURS],
  'cICP of Display P3, before sRGB and gAMA': [
    [codePoints(12, 13, 0, 1), gamma(100_000), sRGB],
    GREYS,
    [218, 24, 40, 0, 204, 0, 50, 50, 208, 255, 0, 0, 118, 130, 141, 11, 5, 1],
  ],
  'cICP of video': [
    [codePoints(1, 1, 0, 1)],
    [0, 0, 0, 1, 7, 28, 70, 113, 155, 197, 229, 254, 255],
    [197, 39, 39, 39, 197, 39, 39, 39, 197, 255, 0, 0, 113, 123, 134, 1, 0, 0],
  ],
  'cICP of BT.2020 primaries': [
    [codePoints(9, 13, 0, 1)],
    GREYS,
    [248, 0, 41, 0, 211, 0, 0, 46, 210, 255, 0, 0, 112, 131, 141, 13, 4, 0],
  ],
  'cICP that leaves it open, then gAMA': [
    [codePoints(2, 2, 0, 1), gamma(100_000)],
    [0, 13, 38, 56, 79, 110, 152, 183, 208, 229, 244, 255, 255],
    undefined,
  ],
};

describe('colours of PNG without a profile are those that a browser shows', () => {
  it.each(Object.entries(AS_CHROMIUM))('%s', async (_, [chunks, greys, colours]) => {
    const grey = await read(withChunks(await greyPng(GREYS).toBuffer(), chunks));
    if (greys !== undefined)
      expectNear(
        grey.filter((_, i) => i % 3 === 0),
        greys,
      );
    if (colours !== undefined) expectNear(await read(withChunks(await colourPng(COLOURS).toBuffer(), chunks)), colours);
  });

  it('cICP comes before a profile, a profile before gAMA', async () => {
    const create = { width: 1, height: 1, channels: 3 as const, background: '#c83232' };
    const p3 = await sharp({ create }).withIccProfile('p3').png().toBuffer();
    const stored = await sharp(p3, { ignoreIcc: true }).raw().toBuffer();
    expectNear(await read(withChunks(p3, [gamma(100_000)])), [200, 50, 50]);
    expect([...(await read(withChunks(p3, [codePoints(1, 13, 0, 1)])))]).toEqual([...stored]);
  });

  it('a damaged chunk says nothing', async () => {
    const damaged = gamma(100_000);
    damaged[9] ^= 1;
    expect([...(await read(withChunks(await colourPng(COLOURS).toBuffer(), [damaged])))]).toEqual(COLOURS);
  });

  it('palettes are colours', async () => {
    const png = await greyPng(GREYS).toBuffer();
    const palette = await sharp(png).png({ palette: true, dither: 0 }).toBuffer();
    expect((await sharp(palette).metadata()).isPalette).toBe(true);
    const stored = await sharp(palette).raw().toBuffer();
    const shown = await read(withChunks(palette, [gamma(100_000)]));
    expect([...shown]).toEqual([
      ...(await read(withChunks(await colourPng([...stored]).toBuffer(), [gamma(100_000)]))),
    ]);
  });

  it('opacity is no colour', async () => {
    const raw = { raw: { width: 2, height: 1, channels: 4 } } as const;
    const png = await sharp(Uint8Array.of(40, 40, 40, 255, 40, 40, 40, 0), raw)
      .png()
      .toBuffer();
    expectNear(await read(withChunks(png, [gamma(100_000)])), [110, 110, 110, 255, 255, 255]);
  });

  it.each([
    ['of PQ', [9, 16, 0, 1], /^picture: expected .* got cICP 9\/16\/0\/1 \(PQ\); convert it to sRGB first$/],
    ['of HLG', [9, 18, 0, 1], /cICP 9\/18\/0\/1 \(HLG\)/],
    ['of narrow range', [1, 13, 0, 0], /full range.*cICP 1\/13\/0\/0;/],
    ['of YCbCr', [1, 13, 1, 1], /expected RGB.*cICP 1\/13\/1\/1;/],
    ['of primaries that nobody knows', [200, 13, 0, 1], /cICP 200\/13\/0\/1;/],
  ])('refuses cICP %s', async (_, values, message) => {
    const png = withChunks(await colourPng(COLOURS).toBuffer(), [codePoints(...values)]);
    await expect(read(png)).rejects.toMatchObject({ code: 'image', message: expect.stringMatching(message) });
  });

  /** Like the files g03 to g25 of PngSuite: one picture, stored with six gammas. */
  it('one picture stored with any gamma looks alike', async () => {
    const image = syntheticImage(32, 32);
    const mean = (data: Uint8Array) => data.reduce((sum, value) => sum + value) / data.length;
    const expected = mean(image.data);
    for (const value of [0.35, 0.45, 0.55, 0.7, 1, 2.5]) {
      const stored = Float64Array.from(image.data, (sample) => linear(sample / 255) ** value);
      const chunks = [gamma(Math.round(100_000 * value))];
      const eight = toSharp({ ...image, data: Uint8Array.from(stored, (sample) => Math.round(255 * sample)) });
      const sixteen = sharp(
        Uint16Array.from(stored, (sample) => Math.round(65535 * sample)),
        { raw: { width: 32, height: 32, channels: 3 } },
      );
      const files = [await sixteen.toColourspace('rgb16').png().toBuffer()];
      // Beyond a value of 1, eight bits merge the darkest colours into one.
      if (value <= 1) files.push(await eight.png().toBuffer());
      for (const file of files) expect(Math.abs(mean(await read(withChunks(file, chunks))) - expected)).toBeLessThan(2);
    }
  });
});

/** Linear value of an sRGB sample. */
function linear(sample: number): number {
  return sample <= 0.04045 ? sample / 12.92 : ((sample + 0.055) / 1.055) ** 2.4;
}

describe('a profile of samples of more than 8 bits is followed', () => {
  const samples = Uint16Array.from({ length: 16 * 16 * 3 }, (_, i) => [200, 50, 50][i % 3] * 257);
  const displayP3 = sharp(samples, { raw: { width: 16, height: 16, channels: 3 } })
    .toColourspace('rgb16')
    .withIccProfile('p3');

  it.each([
    ['PNG', () => displayP3.clone().png()],
    ['AVIF', () => displayP3.clone().avif({ bitdepth: 10, lossless: true })],
  ])('%s', async (_, make) => {
    const file = await make().toBuffer();
    expect(await sharp(file).metadata()).toMatchObject({ depth: 'ushort', hasProfile: true });
    // As a browser shows (200, 50, 50) of Display P3.
    expectNear((await read(file)).subarray(0, 3), [218, 24, 41]);
  });
});

describe('samples', () => {
  const [UNSIGNED, SIGNED, FLOAT] = [1, 2, 3];

  it.each([
    ['floats of 0 to 1', FLOAT, Float32Array.of(0.1, 0.5), /got floating point, where/],
    ['floats of 0 to 255', FLOAT, Float32Array.of(10, 128), /got floating point, where/],
    ['32 bits, unsigned', UNSIGNED, Uint32Array.of(35 * 2 ** 24, 2 ** 31), /got 32 bits, unsigned, where/],
    ['32 bits, signed', SIGNED, Int32Array.of(1, 2 ** 30), /got 32 bits, signed, where/],
    ['16 bits, signed', SIGNED, Int16Array.of(-1, 2 ** 14), /got 16 bits, signed, where/],
    ['8 bits, signed', SIGNED, Int8Array.of(-1, 100), /got 8 bits, signed, where/],
  ])('refuses %s, saying why', async (_, format, values, message) => {
    const refused = expect.stringMatching(
      /^picture: expected samples of 8 or 16 bits, unsigned, .*; convert it first$/,
    );
    await expect(read(greyTiff(values, format))).rejects.toMatchObject({ code: 'image', message: refused });
    await expect(read(greyTiff(values, format))).rejects.toThrow(message);
  });

  it('reads 8 and 16 bits', async () => {
    expect([...(await read(greyTiff(Uint8Array.of(10, 200), UNSIGNED)))]).toEqual([10, 10, 10, 200, 200, 200]);
    const sixteen = Uint16Array.of(0x1234, 0xff00);
    expect([...(await read(greyTiff(sixteen, UNSIGNED)))]).toEqual([0x12, 0x12, 0x12, 255, 255, 255]);
  });
});

/** A one-row grey TIFF whose sample format is given by its SampleFormat tag number. */
function greyTiff(
  values: Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array,
  format: number,
): Buffer {
  const entries = [
    [256, values.length],
    [257, 1],
    [258, 8 * values.BYTES_PER_ELEMENT],
    [259, 1],
    [262, 1],
    [273, 8 + 2 + 9 * 12 + 4],
    [277, 1],
    [279, values.byteLength],
    [339, format],
  ];
  const head = Buffer.alloc(8 + 2 + entries.length * 12 + 4);
  head.write('II*');
  head.writeUInt32LE(8, 4);
  head.writeUInt16LE(entries.length, 8);
  for (const [i, [tag, value]] of entries.entries()) {
    const at = 10 + 12 * i;
    head.writeUInt16LE(tag, at);
    head.writeUInt16LE(3, at + 2);
    head.writeUInt32LE(1, at + 4);
    head.writeUInt16LE(value, at + 8);
  }
  return Buffer.concat([head, Buffer.from(values.buffer)]);
}
