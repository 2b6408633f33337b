/**
 * Figures of bench/kodak.mjs: PSNR and MS-SSIM over bits per pixel, mean curves, as SVG.
 *
 *   npm run build && node bench/plot-kodak.mjs RESULTS.json [RESULTS.json...] [options]
 *
 * --published DIR    curves to draw beside them, in the form of CompressAI's published results, one .json for each
 * --out DIR          where kodak-psnr.svg and kodak-ms-ssim.svg go (default: that of the first RESULTS.json)
 * --bpp LOW,HIGH     ends of the axis of rates (default 0.03,3)
 * --png              the same as PNG, too
 * --force            replace existing figures
 *
 * Several results, such as those of two models, are drawn together; a codec that more than one of them has, once.
 */
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { checkWritable, writeAtomically } from '../dist/cli/output.js';
import { CodecError } from '../dist/index.js';
import { ratePlot } from '../dist/report/rate-plot.js';
import { OURS } from './kodak-summary.mjs';
import { failGracefully, loadJson } from './shared.mjs';

failGracefully();
const FIGURES = { psnr: 'kodak-psnr', msSsim: 'kodak-ms-ssim' };
/** Pixels of a PNG for each of the SVG's. */
const ZOOM = 2;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    published: { type: 'string' },
    out: { type: 'string' },
    bpp: { type: 'string', default: '0.03,3' },
    png: { type: 'boolean', default: false },
    force: { type: 'boolean', default: false },
  },
});
if (positionals.length === 0) throw new CodecError('usage', 'expected the results of bench/kodak.mjs');

async function load(path) {
  const document = await loadJson(path);
  if (document === undefined) throw new CodecError('file', `${path}: no such file`);
  return document;
}

/** The mean curves of results, ours first. */
async function measured(path) {
  const { codecs, summary } = await load(path);
  const names = Object.keys(summary.codecs).sort((a, b) => (b === OURS) - (a === OURS));
  return names.map((name) => ({
    label: codecs[name].made.label,
    kind: name === OURS ? 'ours' : 'measured',
    points: summary.codecs[name].meanCurve,
    images: summary.codecs[name].images,
  }));
}

async function published(directory) {
  const files = (await readdir(directory)).filter((name) => name.endsWith('.json')).sort();
  return Promise.all(
    files.map(async (file) => {
      const { name, results } = await load(join(directory, file));
      const points = results.bpp.map((bpp, i) => ({
        bpp,
        psnr: results['psnr-rgb']?.[i],
        msSsim: results['ms-ssim-rgb']?.[i],
      }));
      return { label: `${name}, published`, kind: 'published', points };
    }),
  );
}

const found = (await Promise.all(positionals.map(measured))).flat();
const ours = found.filter((curve, i) => found.findIndex(({ label }) => label === curve.label) === i);
ours.sort((a, b) => (b.kind === 'ours') - (a.kind === 'ours'));
const curves = [...ours, ...(values.published === undefined ? [] : await published(values.published))];
const counts = [...new Set(ours.map(({ images }) => images))].join(' or ');
const directory = values.out ?? dirname(positionals[0]);
const dashed = values.published === undefined ? '' : "; dashed: published for Kodak's 24";
const options = { title: `Mean of ${counts} photographs${dashed}`, bpp: values.bpp.split(',').map(Number) };

const outputs = Object.values(FIGURES).flatMap((name) =>
  values.png ? [`${name}.svg`, `${name}.png`] : [`${name}.svg`],
);
for (const name of outputs) await checkWritable(join(directory, name), values);
for (const [measure, name] of Object.entries(FIGURES)) {
  const svg = Buffer.from(`${await ratePlot(curves, measure, options)}\n`);
  await writeAtomically(join(directory, `${name}.svg`), svg, values);
  if (values.png) {
    const png = await sharp(svg, { density: 72 * ZOOM })
      .png()
      .toBuffer();
    await writeAtomically(join(directory, `${name}.png`), png, values);
  }
  console.error(join(directory, `${name}.svg`));
}
