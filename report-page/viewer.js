/**
 * The viewer of report.html: an image, a slider over the rate, the picture decoded from the file truncated at that rate,
 * and its distance from the original. Its data is in the page itself; nothing is fetched.
 *
 * @typedef {{ picture: string, bytes: number, bitsPerDim: number, rmse: number, psnr: number | null, msSsim: number | null,
 *   ssim: number | null, t: number, klBits: number }} Point
 * @typedef {{ name: string, width: number, height: number, original: string, points: Point[] }} Picture pictures as base64 of WebP,
 *   all of width x height
 */

/** Factor by which errors are amplified; middle grey is no error. */
const GAIN = 4;

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`#${id} is missing`);
  return found;
}

const data = element('viewer-data', HTMLScriptElement);
const choice = element('viewer-image', HTMLSelectElement);
const slider = element('viewer-rate', HTMLInputElement);
const numbers = element('viewer-numbers', HTMLElement);
const canvases = {
  original: element('viewer-original', HTMLCanvasElement),
  decoded: element('viewer-decoded', HTMLCanvasElement),
  error: element('viewer-error', HTMLCanvasElement),
};

/** @type {Picture[]} */
const pictures = JSON.parse(data.textContent ?? '[]');
/** Number of the latest request, so that a picture that is decoded late does not replace a newer one. */
let latest = 0;

/** @param {string} base64 */
async function decode(base64) {
  const image = new Image();
  image.src = `data:image/webp;base64,${base64}`;
  await image.decode();
  return image;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} image
 */
function draw(canvas, image) {
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = pixelsOf(canvas);
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** @param {HTMLCanvasElement} canvas */
function pixelsOf(canvas) {
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (context === null) throw new Error('this browser draws no canvas');
  return context;
}

/**
 * @param {ImageData} original
 * @param {ImageData} decoded
 */
function drawError(original, decoded) {
  const { width, height } = original;
  const map = new ImageData(width, height);
  for (let i = 0; i < map.data.length; i++) {
    map.data[i] = i % 4 === 3 ? 255 : 128 + GAIN * (decoded.data[i] - original.data[i]);
  }
  canvases.error.width = width;
  canvases.error.height = height;
  pixelsOf(canvases.error).putImageData(map, 0, 0);
}

async function show() {
  const request = ++latest;
  const picture = pictures[Number(choice.value)];
  const point = picture.points[Number(slider.value)];
  const [original, decoded] = await Promise.all([decode(picture.original), decode(point.picture)]);
  if (request !== latest) return;
  drawError(draw(canvases.original, original), draw(canvases.decoded, decoded));
  const text = [
    `${point.bitsPerDim.toFixed(4)} bits/dim`,
    `${point.bytes} bytes`,
    `RMSE ${point.rmse.toFixed(2)}`,
    point.psnr === null ? 'equal to the original' : `PSNR ${point.psnr.toFixed(2)} dB`,
    ...(point.msSsim === null ? [] : [`MS-SSIM ${point.msSsim.toFixed(4)}`]),
    ...(point.ssim === null ? [] : [`SSIM ${point.ssim.toFixed(4)}`]),
    `t = ${point.t}`,
    `KL ${(point.klBits / 8).toFixed(0)} bytes`,
  ];
  numbers.textContent = text.join(' · ');
  slider.setAttribute('aria-valuetext', text.slice(0, 3).join(', '));
}

function choose() {
  const { points } = pictures[Number(choice.value)];
  const share = Number(slider.value) / Math.max(1, Number(slider.max));
  slider.max = String(points.length - 1);
  slider.value = String(Math.round(share * (points.length - 1)));
  void show();
}

for (const [i, { name }] of pictures.entries()) choice.add(new Option(name, String(i)));
choice.addEventListener('change', choose);
slider.addEventListener('input', () => void show());
choose();
