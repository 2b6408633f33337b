import { execFileSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { describe, expect, it } from 'vitest';
import type { RgbImage } from '../../src/image/image.js';
import { psnr } from '../../src/image/metrics.js';
import { parseColour, readImage, readImageBytes, opaque as refuseTransparent } from '../../src/node/image/read.js';
import { syntheticImage, temporaryDirectory, toSharp } from '../helpers/fixtures.js';

const image = syntheticImage(40, 30);

async function read(bytes: Uint8Array, background?: string): Promise<RgbImage> {
  const path = join(await temporaryDirectory(), 'picture');
  await writeFile(path, bytes);
  return readImage(path, background === undefined ? {} : { background });
}

/** A single-coloured image with 16 bits per channel. */
function sixteenBits(values: readonly number[], width = 4, height = 3): Sharp {
  const samples = Uint16Array.from({ length: width * height * values.length }, (_, i) => values[i % values.length]);
  return sharp(samples, { raw: { width, height, channels: values.length as 1 | 3 | 4 } });
}

function rgba(pixels: readonly (readonly [number, number, number, number])[]): Sharp {
  return sharp(Uint8Array.from(pixels.flat()), { raw: { width: pixels.length, height: 1, channels: 4 } });
}

describe('formats', () => {
  it.each([
    ['PNG', () => toSharp(image).png()],
    ['lossless WebP', () => toSharp(image).webp({ lossless: true })],
    ['TIFF', () => toSharp(image).tiff({ compression: 'lzw' })],
    ['lossless AVIF', () => toSharp(image).avif({ lossless: true })],
    ['interlaced PNG', () => toSharp(image).png({ progressive: true })],
  ])('reads %s without loss', async (_, make) => {
    expect(await read(await make().toBuffer())).toEqual(image);
  });

  it.each([
    ['JPEG', () => toSharp(image).jpeg({ quality: 95 }), 28],
    ['progressive JPEG', () => toSharp(image).jpeg({ quality: 95, progressive: true }), 28],
    ['CMYK JPEG', () => toSharp(image).toColourspace('cmyk').jpeg({ quality: 95 }), 16],
    ['lossy WebP', () => toSharp(image).webp({ quality: 95 }), 25],
    ['palette PNG', () => toSharp(image).png({ palette: true, colours: 256 }), 30],
    ['palette GIF', () => toSharp(image).gif(), 25],
  ])('reads %s as 8-bit RGB', async (_, make, leastPsnr) => {
    const result = await read(await make().toBuffer());
    expect(result.data).toHaveLength(40 * 30 * 3);
    expect(psnr(result, image)).toBeGreaterThan(leastPsnr);
  });

  it('gives grey pictures three equal channels', async () => {
    const grey = { raw: { width: 2, height: 1, channels: 1 } } as const;
    const png = await sharp(Uint8Array.of(7, 200), grey).toColourspace('b-w').png().toBuffer();
    expect((await sharp(png).metadata()).channels).toBe(1);
    expect([...(await read(png)).data]).toEqual([7, 7, 7, 200, 200, 200]);
  });

  it('takes 16-bit samples down to 8 bits', async () => {
    const rgb = await sixteenBits([0x1234, 0x8080, 0xffff]).toColourspace('rgb16').png().toBuffer();
    expect((await sharp(rgb).metadata()).depth).toBe('ushort');
    expect([...(await read(rgb)).data.subarray(0, 3)]).toEqual([0x12, 0x80, 0xff]);
    const grey = await sixteenBits([0x4040]).toColourspace('grey16').png().toBuffer();
    expect([...(await read(grey)).data.subarray(0, 3)]).toEqual([0x40, 0x40, 0x40]);
  });

  it('takes the first frame of an animation', async () => {
    const frames = [image, syntheticImage(40, 30)].map((frame, i) => ({
      ...frame,
      data: frame.data.map((v) => (i ? 255 - v : v)),
    }));
    const stack = { width: 40, height: 60, data: Buffer.concat(frames.map((f) => f.data)) };
    const gif = await sharp(stack.data, { raw: { width: 40, height: 60, channels: 3, pageHeight: 30 } })
      .gif()
      .toBuffer();
    expect((await sharp(gif).metadata()).pages).toBe(2);
    const first = await read(gif);
    expect([first.width, first.height]).toEqual([40, 30]);
    expect(psnr(first, image)).toBeGreaterThan(25);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('applies EXIF orientation %i', async (orientation) => {
    const png = await toSharp(image).withMetadata({ orientation }).png().toBuffer();
    expect(await read(png)).toEqual(upright(image, orientation));
  });

  it('converts an embedded ICC profile to sRGB', async () => {
    const colour = { width: 4, height: 4, channels: 3 as const, background: '#c83232' };
    const p3 = await sharp({ create: colour }).withIccProfile('p3').png().toBuffer();
    const stored = await sharp(p3, { ignoreIcc: true }).raw().toBuffer();
    expect(stored[0]).toBeLessThan(190);
    const [red, green, blue] = (await read(p3)).data;
    expect(Math.max(Math.abs(red - 200), Math.abs(green - 50), Math.abs(blue - 50))).toBeLessThanOrEqual(1);
  });
});

describe('sizes', () => {
  it.each([
    [1, 1],
    [1, 3000],
    [3000, 1],
    [4096, 4096],
  ])('reads %i x %i', async (width, height) => {
    const create = { width, height, channels: 3 as const, background: '#0a141e' };
    const result = await read(await sharp({ create }).png().toBuffer());
    expect([result.width, result.height, result.data.length]).toEqual([width, height, width * height * 3]);
    expect([...result.data.subarray(-3)]).toEqual([10, 20, 30]);
  });

  it('refuses more than 2^26 pixels', async () => {
    const create = { width: 8192, height: 8193, channels: 3 as const, background: 'black' };
    const png = await sharp({ create }).png({ compressionLevel: 1 }).toBuffer();
    await expect(read(png)).rejects.toMatchObject({ code: 'image', message: expect.stringMatching(/too large/) });
  });
});

describe('alpha', () => {
  const opaque = rgba([
    [1, 2, 3, 255],
    [4, 5, 6, 255],
  ]);
  const transparent = rgba([
    [100, 100, 100, 255],
    [100, 100, 100, 51],
    [9, 9, 9, 0],
  ]);

  it('accepts a channel that is opaque everywhere', async () => {
    const image = await read(await opaque.png().toBuffer());
    expect(image).toEqual({ width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6) });
  });

  it.each(['png', 'webp', 'tiff'] as const)('keeps it as a plane of a %s', async (format) => {
    const pixels = transparent.clone();
    const bytes = await pixels.toFormat(format, { lossless: true, compression: 'deflate' }).toBuffer();
    const { data, alpha } = await read(bytes);
    expect([...data.subarray(0, 6), ...alpha!]).toEqual([100, 100, 100, 100, 100, 100, 255, 51, 0]);
  });

  it('keeps it of 16-bit and of grey pictures', async () => {
    const deep = await transparent.clone().toColourspace('rgb16').png().toBuffer();
    expect([...(await read(deep)).alpha!]).toEqual([255, 51, 0]);
    const grey = { raw: { width: 2, height: 1, channels: 2 } } as const;
    const png = await sharp(Uint8Array.of(100, 7, 50, 255), grey)
      .toColourspace('b-w')
      .png()
      .toBuffer();
    expect(await read(png)).toMatchObject({
      data: Uint8Array.of(100, 100, 100, 50, 50, 50),
      alpha: Uint8Array.of(7, 255),
    });
  });

  it('is refused where it has no use, with the advice that is given', async () => {
    const image = await read(await transparent.png().toBuffer());
    expect(() => refuseTransparent(image, 'a.png')).toThrow(/^a\.png: has transparent pixels; .*`background`/);
    expect(() => refuseTransparent(image, 'a.png', 'go away')).toThrow(/^a\.png: has transparent pixels; go away$/);
  });

  it('puts the background under it', async () => {
    const { data } = await read(await transparent.png().toBuffer(), '#ff0080');
    expect([...data]).toEqual([100, 100, 100, 224, 20, 122, 255, 0, 128]);
  });

  it('puts a coloured background under a grey picture', async () => {
    const grey = { raw: { width: 1, height: 1, channels: 2 } } as const;
    const png = await sharp(Uint8Array.of(100, 0), grey).toColourspace('b-w').png().toBuffer();
    expect([...(await read(png, 'red')).data]).toEqual([255, 0, 0]);
  });

  it('knows colours, and refuses what is none or not opaque', async () => {
    expect(await parseColour('white')).toEqual([255, 255, 255]);
    expect(await parseColour('#369')).toEqual([0x33, 0x66, 0x99]);
    for (const text of ['', 'transparent', 'nonsense', '#12345680']) {
      await expect(parseColour(text)).rejects.toMatchObject({ code: 'usage' });
    }
  });
});

describe('refusals', () => {
  /** Brackets without words, or with sharp's words instead of the decoder's. */
  const SAYS_NOTHING = /\(\W*\)|\(\(|:\s*\)|failOn|corrupt header/;
  const oneLine = (code: string, message: RegExp) =>
    expect.objectContaining({ code, message: expect.stringMatching(message) });

  it.each(['png', 'jpeg', 'webp', 'tiff', 'gif', 'avif'] as const)(
    'refuses a truncated %s at any length',
    async (format) => {
      const bytes = await toSharp(syntheticImage(64, 48)).toFormat(format).toBuffer();
      for (const part of [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95]) {
        const error = await read(bytes.subarray(0, Math.floor(bytes.length * part))).catch((e) => e);
        expect(error).toEqual(oneLine('image', /^[^\n]*(truncated or corrupt|not a picture)[^\n]*$/));
        expect(error.message).not.toMatch(SAYS_NOTHING);
      }
    },
  );

  it.each(['png', 'jpeg', 'avif'] as const)('refuses a damaged %s', async (format) => {
    const bytes = await toSharp(syntheticImage(64, 48)).toFormat(format).toBuffer();
    const middle = Math.floor(bytes.length * 0.6);
    bytes.fill(0xff, middle, middle + 30);
    await expect(read(bytes)).rejects.toEqual(oneLine('image', /^[^\n]*truncated or corrupt[^\n]*$/));
  });

  it('refuses what is no picture', async () => {
    for (const bytes of [Buffer.from('hello'), Buffer.alloc(0), Buffer.alloc(5000, 7)]) {
      await expect(read(bytes)).rejects.toEqual(oneLine('image', /not a picture; expected PNG/));
    }
  });

  it('says no more than it knows, and nothing of options that are not its own', async () => {
    const png = await toSharp(syntheticImage(64, 48)).png().toBuffer();
    await expect(readImageBytes(png.subarray(0, 20), 'a.png')).rejects.toThrow(/^a.png: truncated or corrupt$/);
    for (const format of ['tiff', 'png'] as const) {
      const bytes = await toSharp(syntheticImage(64, 48)).toFormat(format).toBuffer();
      for (let at = 20; at + 20 < bytes.length; at += 7) {
        const damaged = Buffer.from(bytes).fill(0xff, at, at + 20);
        const error = await readImageBytes(damaged, 'a').catch((e) => e);
        if (error instanceof Error) expect(error.message).not.toMatch(SAYS_NOTHING);
      }
    }
  });

  it('refuses what is no path without printing it', async () => {
    const bytes = await toSharp(syntheticImage(8, 8)).png().toBuffer();
    await expect(readImage(bytes as never)).rejects.toEqual(
      oneLine(
        'usage',
        /^path: expected a string \(`readImageBytes` takes the content of a file\), got Uint8Array of \d+ values$/,
      ),
    );
    await expect(readImage(undefined as never)).rejects.toEqual(oneLine('usage', /got undefined/));
  });

  it('refuses formats that it does not list', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>');
    await expect(read(svg)).rejects.toEqual(oneLine('image', /got svg/));
  });

  it('refuses a missing file, a directory, a pipe, and a file that may not be read', async () => {
    const directory = await temporaryDirectory();
    await expect(readImage(join(directory, 'none.png'))).rejects.toEqual(oneLine('file', /no such file/));
    await expect(readImage(join(directory, 'none', 'none.png'))).rejects.toEqual(oneLine('file', /no such file/));
    await mkdir(join(directory, 'd.png'));
    await expect(readImage(join(directory, 'd.png'))).rejects.toEqual(oneLine('file', /directory/));
    execFileSync('mkfifo', [join(directory, 'pipe')]);
    await expect(readImage(join(directory, 'pipe'))).rejects.toEqual(oneLine('file', /not a regular file/));
    if (process.getuid?.() === 0) return;
    await writeFile(join(directory, 'secret.png'), 'x');
    await chmod(join(directory, 'secret.png'), 0);
    await expect(readImage(join(directory, 'secret.png'))).rejects.toEqual(oneLine('file', /permission/));
  });
});

/** The EXIF standard's orientations: where an upright picture's pixel (x, y) lies in a stored picture of width w and height h. */
const SOURCE: Record<number, (x: number, y: number, w: number, h: number) => readonly [number, number]> = {
  1: (x, y) => [x, y],
  2: (x, y, w) => [w - 1 - x, y],
  3: (x, y, w, h) => [w - 1 - x, h - 1 - y],
  4: (x, y, _, h) => [x, h - 1 - y],
  5: (x, y) => [y, x],
  6: (x, y, _, h) => [y, h - 1 - x],
  7: (x, y, w, h) => [w - 1 - y, h - 1 - x],
  8: (x, y, w) => [w - 1 - y, x],
};

function upright({ width, height, data }: RgbImage, orientation: number): RgbImage {
  const turned = orientation < 5 ? { width, height } : { width: height, height: width };
  const pixels = Array.from({ length: width * height }, (_, i) => {
    const x = i % turned.width;
    const [fromX, fromY] = SOURCE[orientation](x, (i - x) / turned.width, width, height);
    return [...data.subarray((fromY * width + fromX) * 3).subarray(0, 3)];
  });
  return { ...turned, data: Uint8Array.from(pixels.flat()) };
}
