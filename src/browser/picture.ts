/** Pictures that users give to a page: files that are dropped, pasted or chosen. */
import { CodecError } from '../common/errors.js';
import { fromRgba } from '../image/alpha.js';
import type { RgbImage } from '../image/image.js';

/** Maximum size of a picture on a page, in pixels. */
export const MAX_PAGE_PIXELS = 4096 * 4096;

/**
 * Reads a picture as the browser shows it: its EXIF orientation is applied, its colours are converted to sRGB, its
 * opacity is kept. The browser decides which formats it can read. Without WebGL 2, colours of low opacity have only the
 * precision of a canvas.
 * @throws CodecError('image') for anything that the browser cannot read, and for more than {@link MAX_PAGE_PIXELS}
 *   pixels
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
    const pixels = fromCanvas(bitmap);
    return fromRgba(isOpaque(pixels) ? pixels : (fromTexture(bitmap, pixels) ?? pixels), width);
  } finally {
    bitmap.close();
  }
}

/**
 * Reads the pixels through a canvas. It stores colours multiplied by their opacity, so those of low opacity lose
 * precision.
 */
function fromCanvas(bitmap: ImageBitmap): Uint8ClampedArray {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { colorSpace: 'srgb', willReadFrequently: true });
  if (!context) throw new CodecError('image', `this browser has no memory for a picture of ${width}x${height} pixels`);
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, width, height).data;
}

/**
 * Reads the pixels through a WebGL texture, which leaves colours unchanged.
 * @param seen pixels from a canvas, whose opacity is right
 * @returns undefined where this browser does not support it
 */
function fromTexture(bitmap: ImageBitmap, seen: Uint8ClampedArray): Uint8Array | undefined {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  if (!gl) return undefined;
  try {
    if (Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return undefined;
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) return undefined;
    const pixels = new Uint8Array(width * height * 4);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    // A device that is lost or out of memory returns wrong pixels.
    return gl.getError() === gl.NO_ERROR && hasOpacityOf(pixels, seen) ? pixels : undefined;
  } finally {
    gl.getExtension('WEBGL_lose_context')?.loseContext();
  }
}

function isOpaque(rgba: Uint8ClampedArray): boolean {
  for (let i = 3; i < rgba.length; i += 4) if (rgba[i] !== 255) return false;
  return true;
}

function hasOpacityOf(a: Uint8Array, b: Uint8ClampedArray): boolean {
  for (let i = 3; i < a.length; i += 4) if (a[i] !== b[i]) return false;
  return true;
}
