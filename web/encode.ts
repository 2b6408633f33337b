/** Encodes a picture to a file, and decodes the file at several sizes. */
import type { BrowserEncodeOptions, BrowserEncodeResult, RgbImage } from 'ddpm-codec/browser';
import { theCodec } from './codec.js';
import { pointOf, sizesFor } from './points.js';
import { type LongAnswers, Progress } from './progress.js';
import { Viewer } from './viewer.js';
import { inBytes } from './words.js';

/** Megapixels above which the page asks before it begins. */
const LARGE = 1;

/** @param answers for a picture that takes long */
export async function encodePicture(
  name: string,
  original: RgbImage,
  settings: BrowserEncodeOptions,
  answers: LongAnswers,
  signal: AbortSignal,
): Promise<void> {
  const viewer = new Viewer(name, original);
  const progress = new Progress('Encoding', answers);
  let said = 'Stopped';
  const megapixels = (original.width * original.height) / 1e6;
  if (megapixels > LARGE) {
    progress.ask(
      `A picture of ${megapixels.toFixed(1)} megapixels takes minutes for each of them, unless a GPU computes.`,
    );
  }
  try {
    const codec = await theCodec();
    const onDownload = progress.download.bind(progress);
    const result = await codec.encode(original, {
      ...settings,
      signal,
      onDownload,
      onProgress: ({ fraction, bytes }) => progress.work(fraction, inBytes(bytes)),
    });
    const { bytes, reconstruction, steps, tailBytes } = result;
    viewer.setFile(bytes, true);
    viewer.add({ bytes: bytes.length, steps: steps.length - 1, image: reconstruction, hasSamples: tailBytes > 0 });
    viewer.describe(factsOf(result, settings));
    progress.label('The file is ready. Pictures for the slider');
    await codec.decode(bytes, {
      progressivePoints: sizesFor(original, bytes.length),
      signal,
      onDownload,
      onProgress: (fraction) => progress.work(fraction),
      onPoint: (point) => viewer.add(pointOf(point)),
    });
    said = `Done: ${inBytes(bytes.length)}`;
  } finally {
    viewer.offerRealism();
    progress.end(said);
  }
}

const STOPPED_BY = {
  target: 'the quality that was asked for is reached',
  maxBytes: 'the next step would not have fitted',
  exact: 'every sample is sent',
} as const;

function factsOf(result: BrowserEncodeResult, settings: BrowserEncodeOptions): [string, string][] {
  const { width, height, model, steps, tailBytes, rmse, stoppedBy } = result;
  const samples = rmse === 0 ? 'Exact samples' : 'Samples after the steps';
  return [
    ['Picture', `${width} × ${height} pixels`],
    ['Model', model],
    ['Effort', String(settings.effort)],
    ['Steps', steps.length > 1 ? String(steps.length - 1) : 'none: sent as a drawing, pixel by pixel'],
    ...(tailBytes > 0 && steps.length > 1 ? ([[samples, inBytes(tailBytes)]] as [string, string][]) : []),
    ['Ended because', STOPPED_BY[stoppedBy]],
  ];
}
