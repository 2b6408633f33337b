import { openCodec, readModelIndex, toRgba } from 'ddpm-codec/browser';

const canvas = /** @type {HTMLCanvasElement} */ (document.querySelector('#picture'));
const codec = openCodec({ models: await readModelIndex('models/index.json') });

/** @param {import('ddpm-codec/browser').RgbImage} image */
function show(image) {
  canvas.width = image.width;
  canvas.height = image.height;
  const pixels = new ImageData(new Uint8ClampedArray(toRgba(image)), image.width);
  canvas.getContext('2d')?.putImageData(pixels, 0, 0);
}

const { body } = await fetch(new URLSearchParams(location.search).get('file') ?? 'picture.ddc');
if (!body) throw new Error('there is nothing at this address');
const { image, bytesUsed } = await codec.decode(body, { onPoint: (point) => show(point.image) });
show(image);
document.title = `${image.width}x${image.height}, ${bytesUsed} bytes`;
codec.close();
