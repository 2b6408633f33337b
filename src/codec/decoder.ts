/**
 * Decoding: Algorithm 4 of Ho, Jain & Abbeel 2020. Any prefix of a file that holds its header decodes, at the quality
 * of the last step that is whole.
 */
import { CodecError, invalidArgument } from '../errors.js';
import { fromUnit } from '../image/pixels.js';
import { flowCoefficients, jumpCoefficients } from '../model/schedule.js';
import type { DecodeOptions, DecodeResult, Reconstruction } from './api.js';
import { BitReader } from './bitstream.js';
import { advance, initialState, noise, placeCodeword, readBlock, stepBlocks, stepMemory } from './chain.js';
import type { CodecModel } from './encoder.js';
import { readHeader } from './format.js';
import { completeSteps, type Layout, readLayout } from './layout.js';

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
  const { schedule, denoiser } = model;
  const length = width * height * 3;
  const stepsUsed = Math.min(completeSteps(layout, Math.min(bytes.length, maxBytes)), Math.floor(maxSteps));
  const wanted = pointSteps(layout, stepsUsed, options.onPoint ? (options.progressivePoints ?? 0) : 0);

  const reader = new BitReader(bytes.subarray(layout.headerBytes));
  const state = initialState(seed, length);
  // Large pictures need these again and again: nothing of their size is allocated in the loop.
  const z = new Float32Array(length);
  const xhat0 = new Float32Array(length);
  const memory = stepMemory(length);
  for (let step = 0; ; step++) {
    const t = step === 0 ? schedule.timesteps : written[step - 1].s;
    await denoiser.predictX0(state, width, height, t, xhat0);
    options.onProgress?.((step + 1) / (stepsUsed + 1));
    const last = step === stepsUsed;
    if (last || wanted.has(step)) {
      // A point keeps its values.
      const estimate = last ? xhat0 : xhat0.slice();
      const unrounded = await reconstruct(reconstruction, state, estimate, step, layout, model);
      const image = { width, height, data: fromUnit(unrounded) };
      const bitsPerDim = (boundaries[step] * 8) / length;
      const point = { image, unrounded, stepsUsed: step, t, bytesUsed: boundaries[step], bitsPerDim };
      if (wanted.has(step)) await options.onPoint?.(point);
      if (last) {
        return {
          ...point,
          bytesTotal: bytes.length,
          stepsTotal: written.length,
          complete: bytes.length >= boundaries[boundaries.length - 1],
        };
      }
    }
    const planned = written[step];
    for (const block of stepBlocks(seed, step + 1, planned, stateBits, memory)) {
      placeCodeword(block, readBlock(block, reader), z);
    }
    advance(state, xhat0, z, jumpCoefficients(schedule, planned.t, planned.s));
  }
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

/** Step counts at which a progressive decoding shows a picture: about `points`, evenly spread in bytes, the last included. */
function pointSteps({ boundaries }: Layout, stepsUsed: number, points: number): Set<number> {
  const steps = new Set<number>();
  if (points <= 0) return steps;
  const first = boundaries[0];
  const last = boundaries[stepsUsed];
  for (let i = 1; i <= points; i++) {
    const goal = first + ((last - first) * i) / points;
    let step = 0;
    while (step < stepsUsed && boundaries[step] < goal) step++;
    steps.add(step);
  }
  return steps.add(stepsUsed);
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
