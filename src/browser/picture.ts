/** Pictures as a page gets them: files that are dropped, pasted or chosen. */
import { CodecError } from '../common/errors.js';
import { fromRgba } from '../image/alpha.js';
import type { RgbImage } from '../image/image.js';

/** Largest picture that a page takes, in pixels. */
export const MAX_PAGE_PIXELS = 4096 * 4096;

/**
 * Reads a picture as the browser shows it: its EXIF orientation applied, its colours converted to sRGB, its opacity kept. The browser
 * decides which formats it can read.
 * @throws CodecError('image') for what the browser cannot read, and for more than {@link MAX_PAGE_PIXELS} pixels
 */
export async function readPicture(blob: Blob): Promise<RgbImage> {
  const bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image', premultiplyAlpha: 'none' }).catch(
    (cause: unknown) => {
      const type = blob.type || 'a file of unknown type';
      throw new CodecError('image', `expected a picture that this browser can show, got ${type}`, { cause });
    },
  );
  const { width, height } = bitmap;
  try {
    if (width * height > MAX_PAGE_PIXELS) {
      throw new CodecError(
        'image',
        `expected a picture of at most ${MAX_PAGE_PIXELS} pixels, got ${width}x${height}; make it smaller, or use the command line`,
      );
    }
    const context = new OffscreenCanvas(width, height).getContext('2d', {
      colorSpace: 'srgb',
      willReadFrequently: true,
    });
    if (!context)
      throw new CodecError('image', `this browser has no memory for a picture of ${width}x${height} pixels`);
    context.drawImage(bitmap, 0, 0);
    return fromRgba(context.getImageData(0, 0, width, height).data, width);
  } finally {
    bitmap.close();
  }
}
