/**
 * How a picture would be sent as a drawing, pixel by pixel and without the network: what flat pictures, text, noise and pictures of a few
 * pixels are sent as, and everything whose chain would be longer.
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

/** Pictures of more colours are not tried with a palette. */
const MOST_PALETTE_COLOURS = 1024;
/** The length of larger pictures' drawings is estimated before it is measured: on squares of this side, from a grid of at most so many by so many. */
const SAMPLE_SIDE = 64;
const SAMPLES_ACROSS = 4;
const SMALL_ENOUGH = 128 * 128;
/** An estimate that is so many times as large as what there is room for is not looked into. */
const SURE = 2;

/** Of small pictures it is tried to send new colours evenly. */
const EVEN_PIXELS = 64 * 64;

/** What a drawing is wanted for. */
export interface DrawingGoal {
  /** Largest mean squared error, in grey levels. */
  readonly mostSquaredError: number;
  /** The file says that it is exact, with a checksum by which a reader knows it. */
  readonly isExact: boolean;
}

/** A drawing as the tail of a file without steps. */
export interface Drawing extends WrittenTail {
  /** Mean, in grey levels. */
  readonly squaredError: number;
}

export class DrawingChoice {
  /** Whether it is probably worth a try where sizes are close. */
  readonly isLikely: boolean;
  private readonly fewColours: boolean;
  private estimated: number | undefined;
  private drawing: Drawing | undefined;

  /** @param shown of every pixel before it is known: R, G, B */
  constructor(
    private readonly image: RgbImage,
    private readonly shown: readonly number[],
    private readonly goal: DrawingGoal,
  ) {
    this.fewColours = hasFewColours(image);
    this.isLikely = this.fewColours || image.width * image.height <= SMALL_ENOUGH;
  }

  /** A short drawing that comes to the goal, if it has at most so many bytes. It is looked for where it is likely to be found. */
  shortest(mostBytes: number): Drawing | undefined {
    this.estimated ??= this.measure();
    if (this.estimated > mostBytes * SURE) return undefined;
    const drawing = this.whole();
    return drawing.bytes.length <= mostBytes ? drawing : undefined;
  }

  /** A good drawing of at most so many bytes, whether or not it comes to the goal. */
  finest(mostBytes: number): Drawing | undefined {
    const fits = (tolerance: number) => this.best(this.image, tolerance, mostBytes);
    const tolerance = firstThat(0, MOST_HALF_STEP, (value) => fits(value) !== undefined);
    return tolerance === undefined ? undefined : fits(tolerance);
  }

  /** Of the whole picture, looked for once. */
  private whole(): Drawing {
    this.drawing ??= this.coarsest(this.image);
    return this.drawing;
  }

  /** About how many bytes it has: of a picture that is not large, exactly. */
  private measure(): number {
    const { width, height } = this.image;
    if (width * height <= SMALL_ENOUGH) return this.whole().bytes.length;
    const samples = collage(this.image);
    return (this.coarsest(samples).bytes.length * width * height) / (samples.width * samples.height);
  }

  /** The drawing of the largest tolerance that comes to the goal. */
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

  /** With a palette and without, where a picture has few colours. */
  private get palettes(): boolean[] {
    return this.fewColours ? [true, false] : [false];
  }

  /** The shorter of the ways to draw with a tolerance. */
  private best(image: RgbImage, tolerance: number, mostBytes: number): Drawing | undefined {
    let best: Drawing | undefined;
    for (const hasPalette of this.palettes) {
      best = shorter(best, this.draw(image, hasPalette, tolerance, { mostBytes: best?.bytes.length ?? mostBytes }));
    }
    return best && best.bytes.length <= mostBytes ? best : undefined;
  }

  /** The shorter of the ways to send new colours. */
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

  /** @returns undefined where the code has more bytes than that */
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

/** Of what is seen. */
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

/** Where samples begin along a side. */
function placesOf(length: number): number[] {
  const count = Math.min(SAMPLES_ACROSS, Math.ceil(length / (2 * SAMPLE_SIDE)));
  const room = Math.max(0, length - SAMPLE_SIDE);
  return Array.from({ length: count }, (_, i) => Math.round((room * (i + 0.5)) / count));
}
