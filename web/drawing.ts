/** Draws pictures on canvases. */
import { fromRgba, type RgbImage, toRgba } from 'ddpm-codec/browser';

/** Factor by which errors are amplified; middle grey is no error. */
const GAIN = 4;
/** Up to this many pixels, single pixels should be visible. */
const SMALL = 256 * 256;

/** @throws Error where the browser has no memory for it */
export function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (context === null) throw new Error('this browser has no memory for a canvas of this size');
  return context;
}

export function draw(canvas: HTMLCanvasElement, image: RgbImage): void {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.classList.toggle('small', image.width * image.height <= SMALL);
  const rgba = toRgba(image);
  const pixels = new Uint8ClampedArray(rgba.buffer as ArrayBuffer, rgba.byteOffset, rgba.length);
  contextOf(canvas).putImageData(new ImageData(pixels, image.width, image.height), 0, 0);
}

export function canvasOf(image: RgbImage): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  draw(canvas, image);
  return canvas;
}

/** The amplified error of a picture, in each colour. */
export function errorMap(original: RgbImage, { data }: RgbImage): RgbImage {
  const { width, height, alpha } = original;
  const map = new Uint8ClampedArray(data.length);
  for (let i = 0; i < map.length; i++) map[i] = 128 + GAIN * (data[i] - original.data[i]);
  return { width, height, data: new Uint8Array(map.buffer), ...(alpha && { alpha }) };
}

/** The picture at half the width and height. */
export function halved(image: RgbImage): RgbImage {
  const half = document.createElement('canvas');
  half.width = Math.max(1, Math.round(image.width / 2));
  half.height = Math.max(1, Math.round(image.height / 2));
  const context = contextOf(half);
  context.imageSmoothingQuality = 'high';
  context.drawImage(canvasOf(image), 0, 0, half.width, half.height);
  return fromRgba(context.getImageData(0, 0, half.width, half.height).data, half.width);
}

/** The canvas as a file. @param quality 0..1 @returns null where the browser cannot write it at all */
export function encoded(canvas: HTMLCanvasElement, type: string, quality?: number): Promise<Blob | null> {
  return new Promise((resolve) => canvas.toBlob(resolve, type, quality));
}
