import { describe, expect, it } from 'vitest';
import type { RgbImage } from '../../src/image/image.js';
import {
  contactSheet,
  contactSheetSize,
  labelledTable,
  tableSize,
  thumbnail,
} from '../../src/node/image/contact-sheet.js';
import { drawText, GLYPH_HEIGHT, GLYPH_WIDTH, textWidth } from '../../src/node/image/font.js';
import { syntheticImage } from '../helpers/fixtures.js';

/** A text as rows of '#' and '.'. */
function drawn(text: string, scale = 1): string[] {
  const rows = Array.from({ length: GLYPH_HEIGHT * scale }, () => new Array(textWidth(text, scale)).fill('.'));
  drawText(text, scale, (x, y) => {
    rows[y][x] = '#';
  });
  return rows.map((row) => row.join(''));
}

const pixelAt = ({ width, data }: RgbImage, x: number, y: number) => [
  ...data.subarray((y * width + x) * 3).subarray(0, 3),
];

describe('the font', () => {
  it('draws what labels say', () => {
    expect(drawn('0.1/dg')).toEqual([
      '.###..........#.............#......',
      '#...#........##.......#.....#......',
      '#..##.........#......#...##.#..####',
      '#.#.#.........#.....#...#..##.#...#',
      '##..#.........#....#....#...#.#...#',
      '#...#..##.....#...#.....#...#.#...#',
      '.###...##....###.........####..####',
      '..................................#',
      '...............................###.',
    ]);
  });

  it('has every letter and digit, all different', () => {
    const characters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./:=-+%,()_#?λ';
    expect(new Set([...characters].map((c) => drawn(c).join())).size).toBe(characters.length);
  });

  it('scales by an integer, and keeps within its box', () => {
    const small = drawn('A');
    const large = drawn('A', 3);
    expect([large.length, large[0].length]).toEqual([GLYPH_HEIGHT * 3, GLYPH_WIDTH * 3]);
    large.forEach((row, y) => {
      expect(row).toBe([...small[Math.floor(y / 3)]].map((c) => c.repeat(3)).join(''));
    });
  });

  it('draws a question mark for what it lacks', () => {
    expect(drawn('é')).toEqual(drawn('?'));
    expect(drawn(' ').join('')).not.toContain('#');
  });
});

describe('contactSheet', () => {
  it('enlarges tiny pictures by whole factors, in order, with ink below each', async () => {
    const red = { width: 32, height: 32, data: Uint8Array.from({ length: 3072 }, (_, i) => (i % 3 === 0 ? 250 : 0)) };
    const blue = { ...red, data: Uint8Array.from({ length: 3072 }, (_, i) => (i % 3 === 2 ? 250 : 0)) };
    const sheet = await contactSheet([
      { image: red, label: '0.10 bits/dim' },
      { image: blue, label: '0.20 bits/dim' },
    ]);
    expect(pixelAt(sheet, 12, 12)).toEqual([250, 0, 0]);
    expect(pixelAt(sheet, 12 + 191, 12 + 191)).toEqual([250, 0, 0]);
    expect(pixelAt(sheet, 12 + 192, 12)).toEqual([255, 255, 255]);
    expect(pixelAt(sheet, 12 + 192 + 12, 12)).toEqual([0, 0, 250]);
    const ink = sheet.data.filter((value, i) => value === 32 && Math.floor(i / 3 / sheet.width) > 12 + 192);
    expect(ink.length / 3).toBeGreaterThan(500);
  });

  it('scales large pictures down, and takes any shapes together', async () => {
    const sheet = await contactSheet(
      [syntheticImage(2000, 1000), syntheticImage(1, 3000), syntheticImage(1, 1)].map((image) => ({
        image,
        label: 'x',
      })),
    );
    expect(Math.max(sheet.width, sheet.height)).toBeLessThan(2000);
    expect(sheet.data).toHaveLength(sheet.width * sheet.height * 3);
  });

  it('leaves pictures up to a larger limit as they are', async () => {
    const photo = syntheticImage(700, 500);
    const sheet = await contactSheet([{ image: photo, label: 'all of it' }], 700);
    expect([sheet.width, sheet.height].every((side, i) => side > [700, 500][i])).toBe(true);
    expect(await thumbnail(photo, 700)).toEqual(photo);
    expect((await thumbnail(photo, 350)).width).toBe(350);
  });

  it('keeps a thumbnail as it is', async () => {
    for (const [width, height] of [
      [32, 32],
      [60, 20],
      [500, 333],
      [900, 700],
    ]) {
      const once = await thumbnail(syntheticImage(width, height));
      const { data, ...size } = await thumbnail(once);
      expect(size).toEqual({ width: once.width, height: once.height });
      expect(Buffer.compare(data, once.data)).toBe(0);
    }
  });

  it('refuses to be empty', async () => {
    await expect(contactSheet([])).rejects.toMatchObject({ code: 'image' });
  });
});

describe('the size of a sheet', () => {
  const sizeOf = ({ width, height }: RgbImage) => ({ width, height });

  it.each([
    [1, 32, 32],
    [7, 5, 9],
    [12, 700, 300],
  ])('is known before it is made: %d pictures of %dx%d', async (count, width, height) => {
    const pictures = Array.from({ length: count }, () => syntheticImage(width, height));
    const sheet = await contactSheet(pictures.map((image) => ({ image, label: '' })));
    expect(contactSheetSize(count, { width, height })).toEqual(sizeOf(sheet));
    const labels = { rowLabels: ['t = 1000', 't = 1'], columnLabels: ['source', 'x_t'] };
    const table = await labelledTable({ rows: [pictures, pictures], ...labels });
    expect(tableSize({ rows: 2, columns: count }, { width, height }, labels)).toEqual(sizeOf(table));
  });

  it('is that of very many, too', () => {
    expect(contactSheetSize(1_000_000, { width: 32, height: 32 }).width).toBeGreaterThan(100_000);
  });
});

describe('labelledTable', () => {
  const grey = (level: number) => ({ width: 32, height: 32, data: new Uint8Array(3072).fill(level) });

  it('puts pictures where their labels say', async () => {
    const rows = [
      [grey(10), grey(20), grey(30)],
      [grey(40), grey(50)],
    ];
    const sheet = await labelledTable({ rows, rowLabels: ['a', 'bc'], columnLabels: ['x'] });
    const left = sheet.width - 3 * 100 - 12 + 4;
    const top = sheet.height - 2 * 100 - 12 + 4;
    rows.forEach((row, y) => {
      row.forEach((picture, x) => {
        const expected = Array(3).fill(picture.data[0]);
        for (const corner of [0, 95]) {
          expect(pixelAt(sheet, left + x * 100 + corner, top + y * 100 + corner)).toEqual(expected);
        }
      });
    });
    expect(pixelAt(sheet, left + 250, top + 150)).toEqual([255, 255, 255]);
    expect(pixelAt(sheet, left + 97, top)).toEqual([255, 255, 255]);
  });

  it('keeps labels apart', async () => {
    const wide = 'a label wider than a picture';
    const sheet = await labelledTable({ rows: [[grey(0), grey(0)]], columnLabels: [wide, wide] });
    expect(sheet.width).toBeGreaterThan(2 * textWidth(wide, 2) + 24);
  });

  it('refuses to be empty', async () => {
    await expect(labelledTable({ rows: [], columnLabels: [] })).rejects.toMatchObject({ code: 'image' });
  });
});
