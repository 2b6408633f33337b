/** Reads a tail of residuals as its bytes arrive (docs/FORMAT.md, section 8). */
import { CodecError } from '../../common/errors.js';
import { toUnit } from '../../image/pixels.js';
import { GrowingCode } from '../bits/growing-code.js';
import { type RangeDecoder, TOTAL } from '../bits/range-coder.js';
import { SHIFTS } from './agreement.js';
import { predictorsOf, type SampleCoder, SampleWalk, scaleOf, type TailContext } from './tail.js';
import { pictureChecksum, type ResidualTail, type TailHeader } from './tail-header.js';

/** The picture that a tail, or a prefix of one, gives. */
export interface TailPicture {
  /** In [-1, 1]: as sent where samples are known, elsewhere the best guess. */
  readonly values: Float32Array;
  /** Number of known samples, in the order in which they are sent. */
  readonly known: number;
  /** All samples are known and match the checksum: the picture is identical to the encoder's. */
  readonly exact: boolean;
  /** The tail is complete but does not give all samples, or all are known and do not match the checksum. */
  readonly damaged: boolean;
}

/** Reads a tail of either kind as its bytes arrive. */
export interface TailSource {
  /** Bytes of the code still missing. */
  readonly missing: number;
  /** Bytes of the tail received so far, its header included. */
  readonly bytesUsed: number;
  /** Number of known samples, in the order in which they are sent. */
  readonly known: number;
  readonly isDone: boolean;
  /** Appends more of the code, at most the missing bytes. */
  append(bytes: Uint8Array): void;
  /**
   * Reads to the end of the next group of samples; there has to be one.
   * @returns false where the bytes end first
   */
  readGroup(): boolean;
  /** The picture so far. */
  picture(): TailPicture;
}

/**
 * Judges the samples of a tail.
 * @param image all samples, once they are known
 * @param alpha the picture's alpha plane, where it has one
 * @param missing bytes of the code
 */
export function verdict(
  image: Uint8Array,
  alpha: Uint8Array | undefined,
  { isDone, missing }: TailSource,
  checksum: number | undefined,
): { readonly exact: boolean; readonly damaged: boolean } {
  const exact = isDone && checksum !== undefined && pictureChecksum(image, alpha) === checksum;
  const isWrong = isDone && checksum !== undefined && !exact;
  return { exact, damaged: isWrong || (missing === 0 && !isDone) };
}

export class TailReader implements TailSource {
  private readonly image: Uint8Array;
  private readonly code: GrowingCode;
  private readonly walk: SampleWalk;
  private readonly coder: SampleCoder;

  /**
   * @param header of the tail
   * @throws CodecError('format') when its table is damaged
   */
  constructor(
    private readonly header: TailHeader & ResidualTail,
    private readonly context: TailContext,
  ) {
    this.image = new Uint8Array(context.xhat0.length);
    this.code = new GrowingCode(header.codedBytes);
    const predictors = predictorsOf(header.covariances ?? context.covariances);
    this.walk = new SampleWalk(context, predictors, scaleOf(header.scaleByte), header.step);
    const { decoder } = this.code;
    const shifts = new ShiftReader(decoder, header.shiftBits);
    this.coder = {
      shift: () => shifts.read(),
      level: (distribution, index) => {
        const level = distribution.find(decoder.peek());
        const [start, end] = distribution.stepOf(level);
        if (!decoder.accept(distribution.cumulative(start), distribution.cumulative(end))) return undefined;
        this.image[index] = distribution.represent(level);
        return level;
      },
    };
  }

  get known(): number {
    return this.walk.known;
  }

  get isDone(): boolean {
    return this.walk.isDone;
  }

  get bytesUsed(): number {
    return this.header.bytes + this.code.taken;
  }

  get missing(): number {
    return this.code.missing;
  }

  append(bytes: Uint8Array): void {
    this.code.append(bytes);
  }

  readGroup(): boolean {
    return this.walk.codeGroup(this.coder);
  }

  picture(): TailPicture {
    const { walk, image, context, header } = this;
    const values = toUnit(image);
    walk.expectRest((index, mean) => {
      values[index] = Math.max(-1, Math.min(1, context.xhat0[index] + mean / 127.5));
    });
    return { values, known: walk.known, ...verdict(image, context.alpha, this, header.checksum) };
  }
}

/** Reads the indices of shifts in Golomb-Rice code; reading an index can be resumed. */
class ShiftReader {
  /** High bits of the index being read. */
  private high = 0;
  private highIsKnown = false;

  constructor(
    private readonly decoder: RangeDecoder,
    private readonly shiftBits: number,
  ) {}

  /** @returns undefined where the code ends */
  read(): number | undefined {
    const { decoder, shiftBits } = this;
    while (!this.highIsKnown) {
      if (this.high << shiftBits >= SHIFTS) {
        throw new CodecError('format', 'lossless tail is damaged: it names a shift that does not exist');
      }
      const isLast = decoder.peek() < TOTAL / 2;
      if (!(isLast ? decoder.accept(0, TOTAL / 2) : decoder.accept(TOTAL / 2, TOTAL))) return undefined;
      if (isLast) this.highIsKnown = true;
      else this.high++;
    }
    const unit = TOTAL >> shiftBits;
    const low = Math.floor(decoder.peek() / unit);
    if (!decoder.accept(low * unit, (low + 1) * unit)) return undefined;
    const index = (this.high << shiftBits) + low;
    this.high = 0;
    this.highIsKnown = false;
    return index;
  }
}
