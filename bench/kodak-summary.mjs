/** What the curves of bench/kodak.mjs come to. */
import { average, bitsPerDimAt, compareCurves, meanCurve } from '../dist/report/rate-curve.js';

/** The name of our codec among the others. */
export const OURS = 'ddpm-codec';

/** RMSEs at which rates are given, grey levels. */
const LEVELS = [10, 7, 5, 3];
const MEASURES = ['psnr', 'msSsim'];

/** Timesteps of our mean curve, from the first noise down. */
const TIMESTEPS = Array.from({ length: 50 }, (_, i) => Math.round(1000 * 0.87 ** i));

/** The numbers that a reader compares, of all pictures that are there. */
export function summarise(results) {
  const codecs = Object.keys(results.codecs).filter((name) => curvesOf(results, [name])[0].length > 0);
  const others = codecs.filter((name) => name !== OURS);
  return {
    codecs: Object.fromEntries(codecs.map((name) => [name, summariseCodec(results, name)])),
    ...(codecs.includes(OURS)
      ? { bdRate: Object.fromEntries(others.map((name) => [name, compare(results, name)])) }
      : {}),
  };
}

function summariseCodec(results, name) {
  const [curves] = curvesOf(results, [name]);
  return {
    images: curves.length,
    bitsPerDimAtRmse: LEVELS.map((rmse) => ({
      rmse,
      ...average(curves.map(({ points }) => bitsPerDimAt(points, rmse))),
    })),
    secondsPerImage: {
      encode: average(curves.map(encodeSeconds)).mean,
      decode: average(curves.map(decodeSeconds)).mean,
    },
    meanCurve: meanOf(name, curves),
  };
}

/** Our file is encoded once; the others' are averaged over the qualities. */
const encodeSeconds = ({ encodeSeconds: whole, points }) => whole ?? average(points.map((p) => p.encodeSeconds)).mean;
const decodeSeconds = ({ encodeSeconds: whole, points }) =>
  whole === undefined ? average(points.map((p) => p.decodeSeconds)).mean : points.at(-1).decodeSeconds;

/** BD-rate of ours against another codec, on the pictures that have curves of both. */
function compare(results, name) {
  const [ours, theirs] = curvesOf(results, [OURS, name]);
  return Object.fromEntries(
    MEASURES.map((measure) => {
      const each = ours.map(({ points }, i) => compareCurves(theirs[i].points, points, measure)?.value ?? null);
      const ofMeans = compareCurves(meanOf(name, theirs), meanOf(OURS, ours), measure);
      return [measure, { meanOfImages: average(each), ofMeanCurves: ofMeans }];
    }),
  );
}

/** Curves of the pictures that have all of these codecs, a list for each codec. */
function curvesOf({ images }, names) {
  const whole = images.filter(({ curves }) => names.every((name) => curves[name] !== undefined));
  return names.map((name) => whole.map(({ curves }) => curves[name]));
}

/**
 * The mean of what was coded with one setting, as published means are: for ours the noise level at which a file is cut
 * off, for the others the quality. Means at equal PSNR or at equal rate are other curves, AVIF's by 13 % and -7 %
 * of the rate. Ours ends where the first of the files does.
 */
function meanOf(name, curves) {
  const points = curves.map((curve) => curve.points);
  if (name !== OURS) return meanCurve(points, ({ quality }) => quality);
  return meanCurve(
    points,
    ({ t }) => -t,
    TIMESTEPS.map((t) => -t),
  ).map(({ setting, ...point }) => ({ t: -setting, ...point }));
}

/** The mean curves as CompressAI publishes results. */
export function compressAiCurves({ codecs, summary }) {
  return Object.fromEntries(
    Object.entries(summary.codecs).map(([name, { images, meanCurve: points }]) => [
      name,
      {
        name: codecs[name].made.label,
        description: `Mean of ${images} pictures; ${JSON.stringify(codecs[name].made)}`,
        results: {
          bpp: points.map(({ bpp }) => bpp),
          'psnr-rgb': points.map(({ psnr }) => psnr),
          'ms-ssim-rgb': points.map(({ msSsim }) => msSsim),
        },
      },
    ]),
  );
}

/** The summary as lines for people. */
export function showSummary({ summary: { codecs, bdRate = {} } }) {
  const row = (first, cells) => `${first.padEnd(12)}${cells.map((cell) => cell.padStart(14)).join('')}`;
  const lines = [row('bits/dim at', LEVELS.map((rmse) => `RMSE ${rmse}`).concat('encode s', 'decode s'))];
  for (const [name, { images, bitsPerDimAtRmse, secondsPerImage }] of Object.entries(codecs)) {
    const rates = bitsPerDimAtRmse.map(({ mean, count }) => rateCell(mean, count, images));
    lines.push(row(name, rates.concat([secondsPerImage.encode, secondsPerImage.decode].map((s) => s.toFixed(2)))));
  }
  for (const [name, measures] of Object.entries(bdRate)) {
    for (const [measure, { meanOfImages, ofMeanCurves }] of Object.entries(measures)) {
      const each = meanOfImages && `${percent(meanOfImages.mean)} ± ${meanOfImages.standardError.toFixed(1)}`;
      const whole = ofMeanCurves && percent(ofMeanCurves.value);
      lines.push(
        `BD-rate (${measure}) against ${name}: ${each ?? '-'} % mean of pictures, ${whole ?? '-'} % of mean curves`,
      );
    }
  }
  return lines.join('\n');
}

const percent = (value) => `${value > 0 ? '+' : ''}${value.toFixed(1)}`;

/** A rate, with the number of pictures where not all come to that RMSE. */
function rateCell(mean, count, images) {
  if (mean === undefined) return '-';
  return count === images ? mean.toFixed(4) : `${mean.toFixed(4)} (${count})`;
}
