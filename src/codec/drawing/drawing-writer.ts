/** Writes a drawing: codes it with given parameters and a tolerance for its colours. */
import { RangeEncoder, TOTAL } from '../bits/range-coder.js';
import { type DrawingParameters, DrawingWalk, type WantedPixel } from './drawing.js';

/** A code may be this many bytes shorter than the length that its encoder reports along the way. */
const ROUNDING = 2;

/** A coded drawing. */
export interface CodedDrawing {
  readonly parameters: DrawingParameters;
  readonly code: Uint8Array;
  /** The image that a reader makes of it: height * width * channels samples. */
  readonly samples: Uint8Array;
}

/**
 * Codes a drawing.
 * @param samples height * width * channels, 0..255
 * @param tolerance largest difference between a sample and the sent one, in levels
 * @param mostBytes coding is abandoned when the code gets longer than this
 * @param alpha opacity of each pixel; the sent values of fully transparent pixels do not matter
 * @returns undefined where coding was abandoned
 */
export function writeDrawing(
  samples: Uint8Array,
  parameters: DrawingParameters,
  tolerance: number,
  mostBytes = Number.POSITIVE_INFINITY,
  alpha?: Uint8Array,
): CodedDrawing | undefined {
  const { channels } = parameters;
  const encoder = new RangeEncoder();
  const walk = new DrawingWalk(parameters);
  const coder = {
    bit(ones: number, wanted: number): number {
      if (wanted === 1) encoder.encode(0, ones);
      else encoder.encode(ones, TOTAL);
      return wanted;
    },
  };
  const wanted = new Wanted(samples, channels, tolerance, alpha);
  while (!walk.isDone) {
    wanted.pixel = walk.next;
    walk.codePixel(coder, wanted);
    if (encoder.length > (mostBytes + ROUNDING) * 8) return undefined;
  }
  const code = encoder.finish();
  if (code.length > mostBytes) return undefined;
  return { parameters, code, samples: samplesOf(walk.colours, channels) };
}

/** Converts colours to samples. */
export function samplesOf(colours: Int32Array, channels: number): Uint8Array {
  const samples = new Uint8Array(colours.length * channels);
  for (let i = 0, at = 0; i < colours.length; i++) {
    for (let shift = 8 * (channels - 1); shift >= 0; shift -= 8) samples[at++] = (colours[i] >> shift) & 255;
  }
  return samples;
}

/** The pixel to be written. */
class Wanted implements WantedPixel {
  pixel = 0;

  constructor(
    private readonly samples: Uint8Array,
    private readonly channels: number,
    private readonly tolerance: number,
    private readonly alpha: Uint8Array | undefined,
  ) {}

  takes(colour: number): boolean {
    return this.distance(colour) <= this.tolerance;
  }

  find(palette: Int32Array, size: number): number {
    let best = -1;
    let least = this.tolerance + 1;
    for (let i = 0; i < size && least > 0; i++) {
      const distance = this.distance(palette[i]);
      if (distance >= least) continue;
      least = distance;
      best = i;
    }
    return best;
  }

  sample(channel: number): number {
    return this.samples[this.pixel * this.channels + channel];
  }

  /** Largest difference over the pixel's samples. */
  private distance(colour: number): number {
    const { samples, channels, pixel, alpha } = this;
    if (alpha?.[pixel] === 0) return 0;
    let most = 0;
    for (let channel = channels - 1, rest = colour; channel >= 0; channel--, rest >>= 8) {
      most = Math.max(most, Math.abs((rest & 255) - samples[pixel * channels + channel]));
    }
    return most;
  }
}
