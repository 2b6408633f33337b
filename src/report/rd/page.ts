/** `report.html`: a run on one self-contained page that needs neither other files nor a connection. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { counted } from '../../common/counted.js';
import { printable } from '../../common/printable.js';
import { imageSetName } from '../../data/image-set.js';
import { Markup as Html, markup as html, type Part } from '../markup.js';
import type { PublishedSet } from '../published.js';
import type { Report } from './export.js';
import type { Figure } from './figures.js';
import { type ImageResult, PICTURE_SIDE } from './results.js';
import type { Summary } from './summary.js';
import { reportTables, type Table } from './tables.js';

/** Script and style of the page, kept in separate files. */
const PARTS = new URL('../../../report-page/', import.meta.url);

/** Maximum characters of pictures in the page. */
const MOST_PICTURES = 16 * 2 ** 20;

/** The page. @param published gives the paper's table 4, shown beside ours, and sources to name */
export async function reportPage(
  report: Report,
  figures: readonly Figure[],
  published?: PublishedSet,
): Promise<string> {
  const [script, style] = await Promise.all(
    ['viewer.js', 'style.css'].map((name) => readFile(new URL(name, PARTS), 'utf8')),
  );
  const shown = picturesWithin(report.images, MOST_PICTURES);
  const title = `Rate and distortion: ${report.run.options.images.map(imageSetName).join(', ')}`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${title}</title>
<style>
${new Html(style)}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${about(report)}
${shown.length === 0 ? [] : viewer(shown, report)}
${reportTables(report, published)
  .filter(({ fileOnly }) => !fileOnly)
  .map(tableSection)}
<section aria-labelledby="figures"><h2 id="figures">Figures</h2>
<p class="note">${figures.length === 0 ? 'None: no curve has a point within the axes.' : html`All of them are in <code>figures/</code> as SVG, PNG and, for LaTeX, TikZ, their numbers in <code>mean.csv</code>; tables in <code>tables/</code> as LaTeX and Markdown.`}</p>
<div class="figures">${figures.map(figurePart)}</div>
</section>
${methods(report, published)}
</main>
${shown.length === 0 ? [] : viewerScript(shown, script)}
</body>
</html>
`;
  return page.text;
}

function about({ run, images, failed, summary }: Report): Html {
  const { options, versions } = run;
  const models = distinct(images.map(({ model }) => (model ? `${model.name} (${model.id})` : 'none')));
  const machines = distinct(images.map(({ machine }) => Object.values(machine).join('; ')));
  const missing = options.imageCount - images.length - failed.length;
  const partial = options.shard === null ? '' : `, part ${options.shard.index + 1} of ${options.shard.count}`;
  const made = [
    ['images', `${summary.images} of ${options.imageCount}${partial}${drawingsNote(summary)}`],
    ['model', models.join(', ')],
    [
      'our files',
      `effort ${options.efforts.join(', ')}, realism ${options.realisms.join(', ')}, selection ${options.selection}, seed ${options.seeds.join(', ')}, to RMSE ${options.targetRmse}`,
    ],
    [
      'versions',
      Object.entries(versions)
        .map((entry) => entry.join(' '))
        .join(', '),
    ],
    ['machine', machines.join(' | ')],
  ];
  return html`<p>Whole files of each codec, measured on what a decoder makes of them. Ours is one file per image, cut off after
its steps.</p>
<div class="scroll" tabindex="0" role="region" aria-label="What was measured"><table class="made"><tbody>${made.map(
    ([name, value]) =>
      html`<tr><th scope="row">${name}</th><td style="text-align:left;white-space:normal">${value}</td></tr>`,
  )}</tbody></table></div>
${failed.length === 0 ? [] : html`<p><strong>${counted(failed.length, 'image')} failed:</strong> ${failed.map(({ name, error }) => `${name} (${error.message})`).join('; ')}</p>`}
${missing > 0 && options.shard === null ? html`<p><strong>${counted(missing, 'image')} missing from this report.</strong></p>` : []}`;
}

/** Says how many images became files without steps, which mean curves leave out. */
function drawingsNote({ images, meanImages, codecs }: Summary): string {
  const some = images - meanImages;
  const all = codecs.some(({ kind, mean }) => kind === 'ours' && mean.length === 0);
  if (some === 0 && !all) return '';
  return `; ${all ? 'all' : some} went as drawings, which have no steps: they count at an RMSE, not in mean curves and comparisons`;
}

function viewer(shown: readonly ImageResult[], { images }: Report): Html {
  const cropped = shown.some(
    ({ width, height, pictures }) => pictures!.crop.width < width || pictures!.crop.height < height,
  );
  const notes = [
    `${shown.length} of the ${images.length} images, each at up to ${Math.max(...shown.map(({ pictures }) => pictures!.points.length))} of its points.`,
    ...(cropped
      ? [
          `Of larger pictures the middle part is shown, up to ${PICTURE_SIDE} pixels a side; the numbers are of the whole picture.`,
        ]
      : []),
    'The error is decoded minus original, 4 times enlarged around middle grey.',
  ];
  return html`<section aria-labelledby="viewer"><h2 id="viewer">One file at rising rates</h2>
<div class="controls">
<label for="viewer-image">Image</label><select id="viewer-image"></select>
<label for="viewer-rate">Rate</label><input id="viewer-rate" type="range" min="0" max="1" step="1" value="1">
</div>
<p id="viewer-numbers" role="status"></p>
<div class="pictures">
${[
  ['original', 'Original'],
  ['decoded', 'Decoded'],
  ['error', 'Error'],
].map(
  ([id, name]) =>
    html`<figure><canvas id="viewer-${id}" role="img" aria-label="${name}"></canvas><figcaption>${name}</figcaption></figure>`,
)}
</div>
<p class="note">${notes.join(' ')}</p></section>`;
}

function viewerScript(shown: readonly ImageResult[], script: string): Html {
  const data = shown.map(({ name, ours, pictures }) => {
    const [{ points }] = Object.values(ours);
    const { crop, original, points: some } = pictures!;
    return {
      name: printable(basename(name)),
      width: crop.width,
      height: crop.height,
      original,
      points: some.map(({ index, picture }) => ({ picture, ...points[index] })),
    };
  });
  // Escape the one character that could end the element.
  const json = JSON.stringify(data).replaceAll('<', '\\u003c');
  return html`<script type="application/json" id="viewer-data">${new Html(json)}</script>
<script type="module">
${new Html(script)}</script>`;
}

/** The first images with pictures, as many as fit. */
function picturesWithin(images: readonly ImageResult[], limit: number): ImageResult[] {
  const shown: ImageResult[] = [];
  let size = 0;
  for (const image of images) {
    if (image.pictures === undefined) continue;
    const { original, points } = image.pictures;
    size += original.length + points.reduce((sum, { picture }) => sum + picture.length, 0);
    if (size > limit) break;
    shown.push(image);
  }
  return shown;
}

function methods({ summary }: Report, published: PublishedSet | undefined): Html {
  const sources = distinct((published?.curves ?? []).map(({ source }) => source));
  const payload = summary.codecs.some(({ kind }) => kind === 'payload');
  const items: Part[] = [
    'bits/dim: 8 bytes / (3 · width · height); bits per pixel are three times that. Bytes are of whole files, header and container included.',
    'RMSE in grey levels over the three channels. “Mean RMSE” is the arithmetic mean over images; “root of mean MSE” is the RMSE over all samples of all images. PSNR is the mean of the images’ PSNR.',
    'A mean curve is taken at equal settings: for ours the timestep at which a file is cut off, between two points linear in log(rate) and dB; for other codecs the quality.',
    'MS-SSIM as pytorch_msssim has it, for images with more than 160 pixels a side; SSIM, one scale of it, for smaller ones.',
    ...(payload
      ? [
          '“No container”: the same files, counting only the bytes that depend on the picture (JPEG: DHT, SOS and scans; WebP: the chunk VP8; AVIF: mdat; PNG: IDAT; JPEG XL: all but its signature). No such files exist; they bound what a smaller container could save. Ours is counted with its header.',
        ]
      : []),
    ...(sources.length > 0 ? [html`Published points: ${sources.join('; ')}.`] : []),
  ];
  return html`<section aria-labelledby="methods"><h2 id="methods">How it is computed</h2><ul>${items.map(
    (item) => html`<li>${item}</li>`,
  )}</ul></section>`;
}

function figurePart({ caption, svg }: Figure): Html {
  const [, width] = /width="(\d+)"/.exec(svg)!;
  return html`<figure><div class="scroll" tabindex="0" role="img" aria-label="${caption}" style="--width: ${width}px">${new Html(svg)}</div><figcaption>${caption}</figcaption></figure>`;
}

function tableSection({ name, title, note, head, rows }: Table): Html {
  return html`<section aria-labelledby="${name}"><h2 id="${name}">${title}</h2><p class="note">${note}</p>
<div class="scroll" tabindex="0" role="region" aria-label="${title}"><table>
<thead><tr>${head.map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead>
<tbody>${rows.map(([first, ...others]) => html`<tr><th scope="row">${first}</th>${others.map((cell) => html`<td>${cell}</td>`)}</tr>\n`)}</tbody>
</table></div></section>
`;
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}
