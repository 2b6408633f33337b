/**
 * Decoding: Algorithm 4 of Ho, Jain & Abbeel 2020. Any prefix of a file that holds its header decodes, at the quality
 * of the last step that is whole.
 */
import { CodecError, invalidArgument } from '../../common/errors.js';
import { fromUnit } from '../../image/pixels.js';
import { flowCoefficients, jumpCoefficients } from '../../model/schedule.js';
import type { DecodeOptions, DecodePoint, DecodeResult, Reconstruction } from '../api.js';
import {
  advance,
  estimateX0,
  initialState,
  noise,
  placeCodeword,
  readBlock,
  stepBlocks,
  stepMemory,
} from '../chain.js';
import type { CodecModel } from '../encoder/encoder.js';
import { BitReader } from '../format/bitstream.js';
import { readHeader } from '../format/header.js';
import { completeSteps, fileParts, type Layout, metadataOf, readLayout } from '../format/layout.js';
import { CHECKSUM_BITS, sectionsOf, soundSteps } from '../format/sections.js';
import { covariancesAt, readTail } from '../lossless/tail.js';

/** Images with more pixels are refused before anything is allocated, unless the caller raises this. */
export const DEFAULT_MAX_PIXELS = 2 ** 26;

/**
 * Decodes a file or a prefix of one.
 * @throws CodecError('format') for a damaged header or an image larger than `maxPixels`, CodecError('model') when the
 *   file was written with another model, CodecError('usage') for options out of range
 */
export async function decode(bytes: Uint8Array, model: CodecModel, options: DecodeOptions = {}): Promise<DecodeResult> {
  const { reconstruction, maxBytes, maxSteps, maxPixels } = checkOptions(options);
  checkSize(bytes, maxPixels);
  const layout = readLayout(bytes, model);
  if (maxBytes < layout.headerBytes) {
    throw new CodecError(
      'usage',
      `size: expected at least the ${layout.headerBytes} bytes of the header, got ${maxBytes}`,
    );
  }
  const { header, written, boundaries } = layout;
  const { width, height, seed, stateBits } = header;
  const { schedule } = model;
  const length = width * height * 3;
  const available = Math.min(bytes.length, maxBytes);
  const sound = header.checksums ? soundSteps(bytes.subarray(layout.headerBytes, available), written) : written.length;
  const whole = completeSteps(layout, available);
  if (sound < whole && !options.tolerant) throw damagedSteps(sound, boundaries[sound]);
  const stepsUsed = Math.min(whole, sound, Math.floor(maxSteps));
  const parts = fileParts(bytes, layout);
  const metadata = metadataOf(bytes, layout, parts);
  const wantsTail = header.lossless && stepsUsed === written.length && maxSteps === Infinity;
  const tail = wantsTail ? bytes.subarray(parts.steps, Math.min(available, parts.tail ?? available)) : new Uint8Array();
  const end = boundaries[stepsUsed] + tail.length;
  const goals = pointGoals(layout, end, options.onPoint ? (options.progressivePoints ?? 0) : 0);
  const closing = new Set(header.checksums ? sectionsOf(written).map(({ endStep }) => endStep) : []);

  const reader = new BitReader(bytes.subarray(layout.headerBytes));
  const state = initialState(seed, length);
  // Large pictures need these again and again: nothing of their size is allocated in the loop.
  const z = new Float32Array(length);
  const xhat0 = new Float32Array(length);
  const memory = stepMemory(length);
  const point = (step: number, unrounded: Float32Array, bytesUsed: number, exactSamples: number): DecodePoint => ({
    image: { width, height, data: fromUnit(unrounded) },
    unrounded,
    stepsUsed: step,
    t: step === 0 ? schedule.timesteps : written[step - 1].s,
    bytesUsed,
    exactSamples,
    bitsPerDim: (bytesUsed * 8) / length,
  });
  for (let step = 0; ; step++) {
    const t = step === 0 ? schedule.timesteps : written[step - 1].s;
    await estimateX0(model, state, width, height, t, xhat0);
    options.onProgress?.((step + 1) / (stepsUsed + 1));
    const last = step === stepsUsed;
    const wanted = goals.some((goal) => boundaries[step] >= goal && (step === 0 || boundaries[step - 1] < goal));
    if (last || wanted) {
      // A point keeps its values.
      const estimate = last ? xhat0 : xhat0.slice();
      let reached = point(
        step,
        await reconstruct(reconstruction, state, estimate, step, layout, model),
        boundaries[step],
        0,
      );
      if (wanted || (last && goals.length > 0)) await options.onPoint?.(reached);
      if (last) {
        let lossless = false;
        let damaged = sound < whole;
        if (tail.length > 0) {
          const context = { width, height, seed, xhat0, covariances: covariancesAt(model.residuals, t) };
          const lengths = goals.map((goal) => goal - boundaries[step]).filter((goal) => goal > 0 && goal < tail.length);
          for (const length of [...lengths, tail.length]) {
            const picture = readTail(tail.subarray(0, length), context);
            if (picture.damaged && !options.tolerant) throw damagedPicture();
            reached = point(step, picture.values, boundaries[step] + length, picture.known);
            lossless = picture.exact;
            damaged = picture.damaged;
            if (goals.length > 0) await options.onPoint?.(reached);
          }
        }
        return {
          ...reached,
          bytesTotal: bytes.length,
          stepsTotal: written.length,
          complete: parts.all !== undefined && bytes.length >= parts.all,
          lossless,
          damaged,
          ...(metadata && { metadata }),
        };
      }
    }
    const planned = written[step];
    for (const block of stepBlocks(seed, step + 1, planned, stateBits, memory)) {
      placeCodeword(block, readBlock(block, reader), z);
    }
    if (closing.has(step + 1)) reader.skip(CHECKSUM_BITS);
    advance(state, xhat0, z, jumpCoefficients(schedule, planned.t, planned.s));
  }
}

function damagedSteps(sound: number, bytes: number): CodecError {
  return new CodecError(
    'format',
    `the file is damaged after step ${sound}, byte ${bytes}: a checksum is wrong; --tolerant gives the picture up to there`,
  );
}

function damagedPicture(): CodecError {
  return new CodecError(
    'format',
    'the picture does not have its checksum: the file is damaged, or this engine computes too differently from the one ' +
      'it was written with; --tolerant gives the picture as it is, --steps that of the steps alone',
  );
}

/**
 * What x_t and xhat0 are turned into. `mean` is xhat0 itself; the other two walk the rest of the plan without
 * information: `sample` by the reverse process (Eq. 11 with plain noise), `flow` by the deterministic update of DDIM
 * (Song, Meng & Ermon 2021, Eq. 12 with sigma = 0), which follows the probability-flow ODE.
 */
async function reconstruct(
  reconstruction: Reconstruction,
  state: Float32Array,
  xhat0: Float32Array,
  step: number,
  { header, written, unwritten }: Layout,
  { schedule, denoiser }: CodecModel,
): Promise<Float32Array> {
  const { width, height, seed } = header;
  let estimate = xhat0;
  if (reconstruction !== 'mean') {
    const x = state.slice();
    const rest = [...written.slice(step), ...unwritten];
    for (const [i, { t, s }] of rest.entries()) {
      if (reconstruction === 'sample') {
        const z = noise(seed, step + i + 1, x.length);
        advance(x, estimate, z, jumpCoefficients(schedule, t, s));
      } else {
        // Its sigma is 0: whatever stands for the noise, none is added.
        advance(x, estimate, x, flowCoefficients(schedule, t, s));
      }
      estimate = await denoiser.predictX0(x, width, height, s);
    }
  }
  return estimate;
}

/** Sizes in bytes at which a progressive decoding shows a picture: `points`, evenly spread up to the end. */
function pointGoals({ boundaries }: Layout, end: number, points: number): number[] {
  const first = boundaries[0];
  return Array.from({ length: Math.max(0, points) }, (_, i) => Math.ceil(first + ((end - first) * (i + 1)) / points));
}

/** Refuses absurd dimensions before the plan or any pixel memory is made for them. */
function checkSize(bytes: Uint8Array, maxPixels: number): void {
  const { width, height } = readHeader(bytes).header;
  if (width * height > maxPixels) {
    throw new CodecError(
      'format',
      `image size: expected at most ${maxPixels} pixels, got ${width}x${height}; raise the limit with --max-pixels if you trust the file`,
    );
  }
}

function checkOptions(options: DecodeOptions) {
  const { reconstruction = 'mean', maxBytes = Number.POSITIVE_INFINITY, maxSteps = Number.POSITIVE_INFINITY } = options;
  const maxPixels = options.maxPixels ?? DEFAULT_MAX_PIXELS;
  if (!['mean', 'sample', 'flow'].includes(reconstruction)) {
    throw invalidArgument('reconstruction', '"mean", "sample" or "flow"', reconstruction);
  }
  if (!(maxBytes >= 0)) throw invalidArgument('size', 'a number of at least 0', maxBytes);
  if (!(maxSteps >= 0)) throw invalidArgument('steps', 'a number of at least 0', maxSteps);
  if (!(maxPixels > 0)) throw invalidArgument('maximum pixels', 'a positive number', maxPixels);
  return { reconstruction, maxBytes, maxSteps, maxPixels };
}
