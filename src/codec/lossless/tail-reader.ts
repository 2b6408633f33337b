/** Reading a lossless tail as its bytes come (docs/FORMAT.md, section 8). */
import { CodecError } from '../../common/errors.js';
import { toUnit } from '../../image/pixels.js';
import { crc32c } from '../bits/checksum.js';
import { SHIFTS } from './agreement.js';
import { RangeDecoder, TOTAL } from './range-coder.js';
import { predictorsOf, type SampleCoder, SampleWalk, scaleOf, type TailContext, type TailHeader } from './tail.js';

/** What a tail or a beginning of it says of the picture. */
export interface TailPicture {
  /** In [-1, 1]: exact where the samples are known, elsewhere the best guess. */
  readonly values: Float32Array;
  /** Samples that are exact, in the order in which they are sent. */
  readonly known: number;
  /** All samples are known and are those of the checksum: the picture is the encoder's. */
  readonly exact: boolean;
  /** The tail is whole, or all samples are known, but they are not those of the checksum. */
  readonly damaged: boolean;
}

export class TailReader {
  private readonly image: Uint8Array;
  private readonly decoder: RangeDecoder;
  private readonly walk: SampleWalk;
  private readonly coder: SampleCoder;
  private coded = 0;

  /**
   * @param header of the tail
   * @throws CodecError('format') when its table is damaged
   */
  constructor(
    private readonly header: TailHeader,
    private readonly context: TailContext,
  ) {
    this.image = new Uint8Array(context.xhat0.length);
    this.decoder = new RangeDecoder(new Uint8Array(), header.codedBytes === 0);
    const predictors = predictorsOf(header.covariances ?? context.covariances);
    this.walk = new SampleWalk(context, predictors, scaleOf(header.scaleByte));
    const shifts = new ShiftReader(this.decoder, header.shiftBits);
    this.coder = {
      shift: () => shifts.read(),
      level: (distribution, index) => {
        const level = distribution.find(this.decoder.peek());
        if (!this.decoder.accept(distribution.cumulative(level), distribution.cumulative(level + 1))) return undefined;
        this.image[index] = level;
        return level;
      },
    };
  }

  /** Samples that are exact, in the order in which they are sent. */
  get known(): number {
    return this.walk.known;
  }

  get isDone(): boolean {
    return this.walk.isDone;
  }

  /** Bytes of the tail that were taken, its header among them. */
  get bytesUsed(): number {
    return this.header.bytes + this.coded;
  }

  /** Bytes of the coded samples that are still missing. */
  get missing(): number {
    return this.header.codedBytes - this.coded;
  }

  /** Takes more of the coded samples, at most those that are missing. */
  append(bytes: Uint8Array): void {
    this.coded += bytes.length;
    this.decoder.append(bytes, this.missing === 0);
  }

  /** Goes on to the end of the next group of samples, of which there has to be one. @returns false where the bytes end before */
  readGroup(): boolean {
    return this.walk.codeGroup(this.coder);
  }

  /** What there is of the picture. */
  picture(): TailPicture {
    const { walk, image, context, header } = this;
    const exact = walk.isDone && crc32c(image) === header.checksum;
    const values = toUnit(image);
    walk.expectRest((index, mean) => {
      values[index] = Math.max(-1, Math.min(1, context.xhat0[index] + mean / 127.5));
    });
    return { values, known: walk.known, exact, damaged: (walk.isDone || this.missing === 0) && !exact };
  }
}

/** Reads shifts' indices in Golomb-Rice code, each perhaps in several goes. */
class ShiftReader {
  /** High bits of the index that is being read. */
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
