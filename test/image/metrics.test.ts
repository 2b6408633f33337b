import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { meanSquaredError, psnr, psnrOfRmse, rmse } from '../../src/image/metrics.js';
import { syntheticImage } from '../helpers/fixtures.js';

const pixel = (...data: number[]) => ({ width: 1, height: 1, data: Uint8Array.from(data) });

describe('metrics', () => {
  it('are zero and infinity for equal pictures', () => {
    const image = syntheticImage(5, 4);
    expect([rmse(image, image), psnr(image, image)]).toEqual([0, Number.POSITIVE_INFINITY]);
  });

  it('are those of the definition', () => {
    expect(meanSquaredError(pixel(0, 10, 255), pixel(3, 6, 255))).toBeCloseTo(25 / 3, 12);
    expect(rmse(pixel(0, 0, 0), pixel(255, 255, 255))).toBe(255);
    expect(psnr(pixel(0, 0, 0), pixel(255, 255, 255))).toBe(0);
    expect(psnrOfRmse(25.5)).toBeCloseTo(20, 12);
  });

  it('do not depend on the order', () => {
    const sample = fc.uint8Array({ minLength: 12, maxLength: 12 });
    fc.assert(
      fc.property(sample, sample, (a, b) => {
        const [left, right] = [a, b].map((data) => ({ width: 2, height: 2, data }));
        expect(rmse(left, right)).toBe(rmse(right, left));
        expect(psnr(left, right)).toBeCloseTo(psnrOfRmse(rmse(left, right)), 10);
      }),
    );
  });

  it('refuse pictures of different sizes', () => {
    expect(() => rmse(syntheticImage(2, 3), syntheticImage(3, 2))).toThrow(/2x3 with 3x2/);
  });
});
