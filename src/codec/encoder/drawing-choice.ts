/**
 * Chooses how a picture would be sent as a drawing, pixel by pixel and without the network. Flat pictures, text, noise
 * and pictures of a few pixels are sent this way, and every picture whose chain would be longer.
 */
import { firstThat } from '../../common/search.js';
import { crop } from '../../image/crop.js';
import type { RgbImage } from '../../image/image.js';
import { meanSquaredError } from '../../image/metrics.js';
import type { DrawingParameters } from '../drawing/drawing.js';
import { type CodedDrawing, writeDrawing } from '../drawing/drawing-writer.js';
import { MOST_HALF_STEP, pictureChecksum, writeTailBytes } from '../lossless/tail-header.js';
import type { WrittenTail } from '../lossless/tail-writer.js';
import { fillingOf } from './drawing-filling.js';

/** Images with more colours are not tried with a palette. */
const MOST_PALETTE_COLOURS = 1024;
/**
 * For larger pictures the length of the drawing is estimated before it is measured, on squares of this side from a grid
 * with at most this many squares in each direction.
 */
const SAMPLE_SIDE = 64;
const SAMPLES_ACROSS = 4;
const SMALL_ENOUGH = 128 * 128;
/** A drawing is not tried if its estimated length exceeds the available room by this factor. */
const SURE = 2;

/** Sending new colours with uniform probabilities is tried for pictures of up to this many pixels. */
const EVEN_PIXELS = 64 * 64;

/** The requirements on a drawing. */
export interface DrawingGoal {
  /** Largest mean squared error, in grey levels. */
  readonly mostSquaredError: number;
  /** The file marks the drawing as exact, with a checksum that lets a reader verify it. */
  readonly isExact: boolean;
}

/** A drawing as the tail of a file without steps. */
export interface Drawing extends WrittenTail {
  /** Mean squared error, in grey levels. */
  readonly squaredError: number;
}

export class DrawingChoice {
  /** Whether a drawing is probably worth trying when sizes are close. */
  readonly isLikely: boolean;
  private readonly fewColours: boolean;
  private estimated: number | undefined;
  private drawing: Drawing | undefined;

  /** @param shown colour of every pixel before it is known: R, G, B */
  constructor(
    private readonly image: RgbImage,
    private readonly shown: readonly number[],
    private readonly goal: DrawingGoal,
  ) {
    this.fewColours = hasFewColours(image);
    this.isLikely = this.fewColours || image.width * image.height <= SMALL_ENOUGH;
  }

  /**
   * A short drawing that meets the goal, if it has at most this many bytes. It is searched for only where the estimate
   * makes it likely.
   */
  shortest(mostBytes: number): Drawing | undefined {
    this.estimated ??= this.measure();
    if (this.estimated > mostBytes * SURE) return undefined;
    const drawing = this.whole();
    return drawing.bytes.length <= mostBytes ? drawing : undefined;
  }

  /** A good drawing of at most this many bytes, whether or not it meets the goal. */
  finest(mostBytes: number): Drawing | undefined {
    const fits = (tolerance: number) => this.best(this.image, tolerance, mostBytes);
    const tolerance = firstThat(0, MOST_HALF_STEP, (value) => fits(value) !== undefined);
    return tolerance === undefined ? undefined : fits(tolerance);
  }

  /** The drawing of the whole picture, computed once. */
  private whole(): Drawing {
    this.drawing ??= this.coarsest(this.image);
    return this.drawing;
  }

  /** Approximate length in bytes; exact for pictures that are not large. */
  private measure(): number {
    const { width, height } = this.image;
    if (width * height <= SMALL_ENOUGH) return this.whole().bytes.length;
    const samples = collage(this.image);
    return (this.coarsest(samples).bytes.length * width * height) / (samples.width * samples.height);
  }

  /** The drawing with the largest tolerance that meets the goal. */
  private coarsest(image: RgbImage): Drawing {
    const { mostSquaredError } = this.goal;
    if (mostSquaredError === 0) return this.best(image, 0, Number.POSITIVE_INFINITY)!;
    let best: Drawing | undefined;
    for (const hasPalette of this.palettes) {
      const tooCoarse = firstThat(
        0,
        MOST_HALF_STEP,
        (tolerance) => this.code(image, { hasPalette, isEven: false }, tolerance)!.squaredError > mostSquaredError,
      );
      for (let tolerance = (tooCoarse ?? MOST_HALF_STEP + 1) - 1; tolerance >= 0; tolerance--) {
        const drawing = this.draw(image, hasPalette, tolerance, { mostSquaredError });
        best = shorter(best, drawing);
        if (drawing !== undefined) break;
      }
    }
    return best!;
  }

  /** Whether to try a palette: with and without one for pictures with few colours. */
  private get palettes(): boolean[] {
    return this.fewColours ? [true, false] : [false];
  }

  /** The shorter of the drawings with a tolerance, with and without a palette. */
  private best(image: RgbImage, tolerance: number, mostBytes: number): Drawing | undefined {
    let best: Drawing | undefined;
    for (const hasPalette of this.palettes) {
      best = shorter(best, this.draw(image, hasPalette, tolerance, { mostBytes: best?.bytes.length ?? mostBytes }));
    }
    return best && best.bytes.length <= mostBytes ? best : undefined;
  }

  /** The shorter of the drawings with each way to send new colours. */
  private draw(
    image: RgbImage,
    hasPalette: boolean,
    tolerance: number,
    { mostSquaredError = Number.POSITIVE_INFINITY, mostBytes = Number.POSITIVE_INFINITY },
  ): Drawing | undefined {
    const isSmall = image.width * image.height <= EVEN_PIXELS;
    const drawings = (isSmall ? [false, true] : [false]).map((isEven) => {
      const coded = this.code(image, { hasPalette, isEven }, tolerance, mostBytes);
      return coded && coded.squaredError <= mostSquaredError ? this.frame(image, coded) : undefined;
    });
    return drawings.reduce(shorter);
  }

  /** @returns undefined where the code is longer than the limit */
  private code(
    image: RgbImage,
    mode: Pick<DrawingParameters, 'hasPalette' | 'isEven'>,
    tolerance: number,
    mostBytes = Number.POSITIVE_INFINITY,
  ): (CodedDrawing & { readonly squaredError: number }) | undefined {
    const { width, height, data } = image;
    const step = mode.hasPalette ? 1 : 2 * tolerance + 1;
    const parameters = { ...mode, width, height, channels: 3, step } as const;
    const coded = writeDrawing(data, parameters, tolerance, mostBytes, image.alpha);
    return coded && { ...coded, squaredError: meanSquaredError(image, { width, height, data: coded.samples }) };
  }

  /** @returns undefined where a point would be worse than the one before */
  private frame(image: RgbImage, coded: CodedDrawing & { readonly squaredError: number }): Drawing | undefined {
    const { parameters, code, samples, squaredError } = coded;
    const filledPasses = fillingOf(image, samples, this.shown);
    if (filledPasses === undefined) return undefined;
    const tail = { ...parameters, kind: 'drawing', filledPasses } as const;
    const checksum = this.goal.isExact ? pictureChecksum(samples, image.alpha) : undefined;
    return { bytes: writeTailBytes(tail, code, checksum), samples, squaredError };
  }
}

function shorter(a: Drawing | undefined, b: Drawing | undefined): Drawing | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return b.bytes.length < a.bytes.length ? b : a;
}

/** Whether the visible pixels have few colours. */
function hasFewColours({ data, alpha }: RgbImage): boolean {
  const colours = new Set<number>();
  for (let i = 0; i < data.length && colours.size <= MOST_PALETTE_COLOURS; i += 3) {
    if (alpha?.[i / 3] !== 0) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  }
  return colours.size <= MOST_PALETTE_COLOURS;
}

/** Squares from all over a picture, side by side. */
function collage(image: RgbImage): RgbImage {
  const [columns, rows] = [image.width, image.height].map(placesOf);
  const [across, down] = [image.width, image.height].map((side) => Math.min(SAMPLE_SIDE, side));
  const width = columns.length * across;
  const height = rows.length * down;
  const data = new Uint8Array(width * height * 3);
  for (const [i, top] of rows.entries()) {
    for (const [j, left] of columns.entries()) {
      const square = crop(image, { left, top, width: across, height: down });
      for (let y = 0; y < down; y++) {
        const row = square.data.subarray(y * across * 3, (y + 1) * across * 3);
        data.set(row, ((i * down + y) * width + j * across) * 3);
      }
    }
  }
  return { width, height, data };
}

/** Start positions of the samples along a side. */
function placesOf(length: number): number[] {
  const count = Math.min(SAMPLES_ACROSS, Math.ceil(length / (2 * SAMPLE_SIDE)));
  const room = Math.max(0, length - SAMPLE_SIDE);
  return Array.from({ length: count }, (_, i) => Math.round((room * (i + 0.5)) / count));
}
