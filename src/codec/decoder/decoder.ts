/**
 * The decoder: Algorithm 4 of Ho, Jain & Abbeel 2020, run as bytes arrive. Any prefix of a file that holds its header
 * decodes, at the quality of the last complete step.
 *
 * Bytes are discarded once decoded. The decoder keeps the state of the chain, the state of the lossless tail once that
 * has begun, and the bytes of an incomplete step or section. Each step is decoded once and asks the network once for
 * what it needs. Only a section in which a bit was flipped is decoded again, where damage is tolerated.
 */
import { checkBytes, checkOption, checkOptions } from '../../common/arguments.js';
import { ByteQueue } from '../../common/byte-queue.js';
import { CodecError } from '../../common/errors.js';
import { nextTurn } from '../../common/turn.js';
import type { Size } from '../../image/image.js';
import { fromUnit } from '../../image/pixels.js';
import type { DecodedPicture, DecoderOptions, DecoderPoint, DecoderState, Realism } from '../api.js';
import { BitReader } from '../bits/bitstream.js';
import { Chain } from '../chain.js';
import { readAlphaPlane } from '../format/alpha-plane.js';
import { beginHeader, type ReadHeader, readHeader } from '../format/header.js';
import { type Layout, layoutOf, withAlphaPlane } from '../format/layout.js';
import { blankPicture } from '../format/mean-colour.js';
import { type FoundMetadata, type Metadata, metadataBytes, readMetadata } from '../format/metadata.js';
import { expectedErrors } from '../format/plan.js';
import { CHECKSUM_BITS } from '../format/sections.js';
import { covariancesAt } from '../lossless/residuals.js';
import { readTailHeader } from '../lossless/tail-header.js';
import { TailReader, type TailSource } from '../lossless/tail-reader.js';
import { type CodecModel, checkCodecModel } from '../model.js';
import { DECODE_OPTIONS, DECODER_ARGUMENTS, DEFAULT_MAX_PIXELS } from '../options.js';
import { placeCodeword, readBlock } from '../trellis/blocks.js';
import { DrawingTailReader } from './drawing-tail.js';
import { reconstruct } from './reconstruction.js';
import { SectionCheck } from './section-check.js';

/** After so much time other work has its turn. */
const BUSY_MILLISECONDS = 50;

/** The position of a decoder in the file, and what it has decoded so far. */
interface Progress {
  layout: Layout;
  readonly check: SectionCheck;
  chain: Chain;
  /** End of the present step, in bits from where the steps begin. */
  bit: number;
  /** First byte that is kept, counted from where the steps begin. */
  firstByte: number;
  /** The picture to show in place of the chain's, where the file says so. */
  held: Float32Array | undefined;
  /** `held` at the beginning of the present section. */
  heldAtSection: Float32Array | undefined;
  /** The alpha plane, once it is complete. */
  alpha: Uint8Array | undefined;
  tail: TailSource | undefined;
  metadata: FoundMetadata;
  /** Bytes after the end. */
  trailing: number;
  /** `endless`: the length of the metadata is damaged, so that the end of the file is not known. */
  stage: 'alpha' | 'steps' | 'tail' | 'metadata' | 'endless' | 'complete' | 'damaged';
}

/**
 * Opens a decoder, which takes bytes as they arrive.
 * @throws CodecError('usage') for invalid arguments
 *
 * @example
 * const decoder = openDecoder(model);
 * for await (const chunk of response.body) {
 *   for await (const point of decoder.push(chunk)) show((await point.reconstruct()).image);
 * }
 */
export function openDecoder(model: CodecModel, options: DecoderOptions = {}): Decoder {
  checkCodecModel(model);
  checkOptions('openDecoder', DECODER_ARGUMENTS, options);
  return new Decoder(model, options);
}

/** Takes the bytes of a file as they arrive, and gives a point wherever they amount to a picture. */
export class Decoder {
  private readonly input = new ByteQueue();
  private readonly maxPixels: number;
  /** Number of bytes pushed. */
  private received = 0;
  private progress: Progress | undefined;
  /** The error that ended decoding; every later call throws it again. */
  private failure: unknown;
  private isReading = false;
  /** When other work last had its turn. */
  private gaveWayAt = performance.now();

  /** Use {@link openDecoder}. */
  constructor(
    private readonly model: CodecModel,
    private readonly options: DecoderOptions,
  ) {
    this.maxPixels = options.maxPixels ?? DEFAULT_MAX_PIXELS;
  }

  /**
   * Takes more of the file. The bytes are copied at once and decoded as points are taken. Bytes that are not decoded
   * now are decoded at the next push. The points of a push have to be taken, or abandoned by ending their loop, before
   * those of the next.
   * @returns a point for the header, for the alpha plane and each step once complete, and for every group of 192
   *   samples of a tail
   * @throws while points are taken: CodecError('format') for a damaged file or an image larger than `maxPixels`,
   *   CodecError('model') when the file was written with another model, the signal's reason
   */
  push(bytes: Uint8Array): AsyncGenerator<DecoderPoint, void, undefined> {
    checkBytes('push', bytes);
    this.input.append(bytes);
    this.received += bytes.length;
    return this.points();
  }

  /** What the decoder is waiting for. */
  get state(): DecoderState {
    const { progress, received, failure } = this;
    if (failure !== undefined) return { needs: 'nothing', failure };
    if (progress === undefined) return { needs: 'header' };
    const { layout, chain, stage, tail } = progress;
    switch (stage) {
      case 'alpha': {
        const missing = layout.boundaries[0] - received;
        return { needs: 'alpha', ...(missing < Number.POSITIVE_INFINITY && { bytes: Math.max(0, missing) }) };
      }
      case 'steps': {
        const step = chain.step + 1;
        return {
          needs: 'step',
          step,
          steps: layout.written.length,
          bytes: Math.max(0, layout.boundaries[step] - received),
        };
      }
      case 'tail':
        return { needs: 'tail', ...(tail && { bytes: Math.max(0, tail.missing - this.input.length) }) };
      case 'metadata':
      case 'endless':
        return { needs: 'metadata' };
      case 'damaged':
        return { needs: 'nothing', damagedAfterStep: chain.step };
      default:
        return { needs: 'nothing' };
    }
  }

  /** The file's header and the positions of its steps; undefined before the header is complete. */
  get layout(): Layout | undefined {
    return this.progress?.layout;
  }

  /** The metadata, where the file has them and they are complete. */
  get metadata(): Metadata | undefined {
    return this.progress?.metadata.metadata;
  }

  /** Whether the metadata are complete but damaged, or their length is. */
  get metadataDamaged(): boolean {
    return this.progress?.metadata.damaged ?? false;
  }

  /** Unused bytes after the end of the file, as many as have arrived. */
  get trailingBytes(): number {
    return this.progress?.trailing ?? 0;
  }

  /**
   * The point for all bytes decoded so far, also in the middle of a group; undefined before the header is complete and
   * after an error.
   */
  get point(): DecoderPoint | undefined {
    return this.failure === undefined && this.progress ? this.pointOf(this.progress) : undefined;
  }

  /**
   * The point at which decoding ends if the file ends here.
   * @throws CodecError('format') when even its header is incomplete; any earlier error
   */
  end(): DecoderPoint {
    const { progress, input, failure } = this;
    if (failure !== undefined) throw failure;
    // readHeader reports that it is incomplete.
    if (progress === undefined) return this.pointOf(this.begin(readHeader(input.view())));
    // The bytes of an incomplete tail header say nothing yet, but they count as read.
    const isInTailHeader = progress.stage === 'tail' && progress.tail === undefined;
    return this.pointOf(progress, isInTailHeader ? input.length : 0);
  }

  private async *points(): AsyncGenerator<DecoderPoint, void, undefined> {
    if (this.isReading) throw new CodecError('usage', 'push: expected the points of the push before to be taken first');
    this.isReading = true;
    try {
      for (;;) {
        if (this.failure !== undefined) throw this.failure;
        await this.giveWay();
        const point = await this.next();
        if (point === undefined) return;
        yield point;
      }
    } catch (error) {
      this.failure ??= error;
      throw error;
    } finally {
      this.isReading = false;
    }
  }

  /** Samples in memory are decoded without a wait. Timers, and with them many signals, need one now and then. */
  private async giveWay(): Promise<void> {
    if (performance.now() - this.gaveWayAt < BUSY_MILLISECONDS) return;
    await nextTurn();
    this.gaveWayAt = performance.now();
  }

  /**
   * Decodes up to the next point.
   * @returns undefined where the bytes end first
   */
  private async next(): Promise<DecoderPoint | undefined> {
    const { progress } = this;
    this.options.signal?.throwIfAborted();
    if (progress === undefined) return this.readHeader();
    switch (progress.stage) {
      case 'alpha':
        return this.readAlpha(progress);
      case 'steps':
        return this.readStep(progress);
      case 'tail':
        return this.readTail(progress);
      case 'metadata':
        return this.readMetadata(progress);
      default:
        // Nothing that follows is used.
        if (progress.stage === 'complete') progress.trailing += this.input.length;
        this.input.drop(this.input.length);
        return undefined;
    }
  }

  private readHeader(): DecoderPoint | undefined {
    const read = beginHeader(this.input.view());
    return read && this.pointOf(this.begin(read));
  }

  private begin(read: ReadHeader): Progress {
    const { header, length } = read;
    checkSize(header, this.maxPixels);
    const layout = layoutOf(read, this.model);
    this.input.drop(length);
    const progress: Progress = {
      layout,
      check: new SectionCheck(header.checksums ? layout.written : []),
      chain: Chain.begin(this.model, header),
      bit: 0,
      firstByte: 0,
      held: blankPicture(header),
      heldAtSection: undefined,
      alpha: undefined,
      tail: undefined,
      metadata: { damaged: false },
      trailing: 0,
      stage: header.alpha ? 'alpha' : 'steps',
    };
    this.progress = progress;
    if (progress.stage === 'steps') this.endSteps(progress);
    return progress;
  }

  private readAlpha(progress: Progress): DecoderPoint | undefined {
    try {
      const layout = withAlphaPlane(progress.layout, this.input.view());
      progress.layout = layout;
      const { header, alphaBytes } = layout;
      if (this.input.length < alphaBytes) return undefined;
      progress.alpha = readAlphaPlane(this.input.take(alphaBytes), header, header.checksums === true);
    } catch (error) {
      if (!this.options.tolerant) throw error;
      // The position of the first step cannot be trusted either.
      return this.stop(progress);
    }
    progress.stage = 'steps';
    this.endSteps(progress);
    return this.pointOf(progress);
  }

  private async readStep(progress: Progress): Promise<DecoderPoint | undefined> {
    const { layout, check } = progress;
    if (check.findsDamage(this.input.view())) this.meetDamage(progress);
    const { chain } = progress;
    const { step } = chain;
    const offset = progress.bit - 8 * progress.firstByte;
    const planned = layout.written[step];
    const bits = planned.blocks * planned.blockBits;
    const all = bits + (check.closes(step) ? CHECKSUM_BITS : 0);
    if (offset + all > this.input.length * 8) return undefined;
    const estimation = chain.estimate(this.options.signal);
    // It is awaited later, and may fail before that.
    estimation.catch(() => {});
    // Codewords do not depend on xhat0. They are made while other threads compute it, once these have their work.
    await nextTurn();
    const reader = new BitReader(this.input.view(), offset);
    for (const block of chain.blocks(planned, layout.header.stateBits)) {
      placeCodeword(block, readBlock(block, reader), chain.z);
    }
    const xhat0 = await estimation;
    if (check.begins(step) && this.options.tolerant) {
      check.keep(chain);
      progress.heldAtSection = progress.held;
    }
    check.take(step);
    this.advanceTo(progress, progress.bit + all);
    if (!layout.header.heldSteps?.includes(step + 1)) progress.held = undefined;
    else progress.held ??= xhat0.slice();
    await chain.advance(planned, this.options.signal);
    this.endSteps(progress);
    return this.pointOf(progress);
  }

  /** Advances to a bit of the payload and drops the bytes before it, except those of an incomplete section. */
  private advanceTo(progress: Progress, bit: number): void {
    progress.bit = bit;
    const firstByte = (progress.check.start ?? bit) >>> 3;
    this.input.drop(firstByte - progress.firstByte);
    progress.firstByte = firstByte;
  }

  /** After the last step comes the tail, then the metadata. */
  private endSteps(progress: Progress): void {
    const { layout, chain, check } = progress;
    if (chain.step < layout.written.length) return;
    if (progress.bit & 7) this.input.drop(1);
    if (!layout.header.tail) progress.stage = layout.header.metadata ? 'metadata' : 'complete';
    // A tail refers to the picture that the written steps make.
    else if (check.hasFailed) this.stop(progress);
    else progress.stage = 'tail';
  }

  /**
   * Corrects a flipped bit and restarts its section. With more errors, the section is decoded as it is: a wrong symbol
   * spoils only a few stages of a block, and the steps after it are still useful.
   */
  private meetDamage(progress: Progress): void {
    const { layout, check } = progress;
    if (!this.options.tolerant) throw damagedSteps(layout, check.stepsBefore);
    if (!check.repair(this.input.view()) || check.kept === undefined) return;
    progress.chain = check.kept;
    progress.held = progress.heldAtSection;
    progress.bit = check.start!;
  }

  /** Stops decoding. */
  private stop(progress: Progress): undefined {
    progress.stage = 'damaged';
    this.input.drop(this.input.length);
    return undefined;
  }

  private async readTail(progress: Progress): Promise<DecoderPoint | undefined> {
    const tail = progress.tail ?? (await this.openTail(progress));
    if (tail === undefined) return undefined;
    progress.tail = tail;
    while (!tail.isDone) {
      if (tail.readGroup()) {
        if (tail.isDone) this.checkPicture(tail);
        return this.pointOf(progress);
      }
      if (tail.missing === 0) {
        this.checkPicture(tail);
        break;
      }
      if (this.input.length === 0) return undefined;
      // One byte at a time, so that a point counts only the bytes that it needs.
      tail.append(this.input.take(1));
    }
    tail.append(this.input.take(tail.missing));
    if (tail.missing > 0) return undefined;
    progress.stage = progress.layout.header.metadata ? 'metadata' : 'complete';
    return this.next();
  }

  /** @returns undefined where the tail's header is incomplete */
  private async openTail({ layout, chain, alpha }: Progress): Promise<TailSource | undefined> {
    const header = readTailHeader(this.input.view());
    if (header === undefined) return undefined;
    const { width, height, seed } = layout.header;
    this.input.drop(header.bytes);
    if (header.kind === 'drawing')
      return new DrawingTailReader(header, layout.header, blankPicture(layout.header), alpha);
    const xhat0 = await chain.best(this.options.signal);
    const covariances = covariancesAt(this.model.residuals, chain.t);
    return new TailReader(header, { width, height, alpha, seed, xhat0, covariances });
  }

  /** Refuses a complete picture that differs from the encoder's. */
  private checkPicture(tail: TailSource): void {
    if (this.options.tolerant || !tail.picture().damaged) return;
    throw new CodecError(
      'format',
      'the picture does not have its checksum: the file is damaged, or this engine computes too differently from the one ' +
        'it was written with; `tolerant` gives the picture as it is, `maxSteps` that of the steps alone',
    );
  }

  private readMetadata(progress: Progress): Promise<DecoderPoint | undefined> | undefined {
    const bytes = this.input.view();
    const length = metadataBytes(bytes);
    const found = readMetadata(bytes);
    if (length === undefined && found.damaged) {
      progress.metadata = found;
      progress.stage = 'endless';
      return this.next();
    }
    if (length === undefined || bytes.length < length) return undefined;
    progress.metadata = found;
    progress.stage = 'complete';
    this.input.drop(length);
    return this.next();
  }

  /** @param waiting further bytes to count */
  private pointOf(progress: Progress, waiting = 0): DecoderPoint {
    const { layout, chain, tail, check, held, alpha } = progress;
    const { header, headerBytes, boundaries, written, unwritten } = layout;
    const { step, t } = chain;
    const known = tail?.known ?? 0;
    const hasAlpha = !header.alpha ? 'none' : alpha === undefined ? 'missing' : 'whole';
    const bytesUsed = hasAlpha === 'missing' ? headerBytes : boundaries[step] + (tail?.bytesUsed ?? waiting);
    const reconstructAt = async (realism: Realism = 0): Promise<DecodedPicture> => {
      checkOption('realism', DECODE_OPTIONS.realism, realism);
      const isStale = () =>
        chain.step !== step || (tail?.known ?? 0) !== known || progress.chain !== chain || progress.alpha !== alpha;
      const stale = () =>
        new CodecError('usage', 'reconstruct: expected it before the decoder goes on to the next point, and awaited');
      if (isStale()) throw stale();
      const { width, height } = header;
      const picture = tail?.picture();
      const rest = [...written.slice(step), ...unwritten];
      const errors = () => expectedErrors(this.model.profile, header.plan.first, header.plan.second);
      const unrounded =
        picture?.values ?? (await reconstruct({ chain, held, rest, errors }, realism, this.options.signal));
      // The decoder may have gone on while the network was running.
      if (isStale()) throw stale();
      const image = { width, height, data: fromUnit(unrounded), ...(alpha && { alpha }) };
      return {
        image,
        unrounded,
        lossless: picture?.exact ?? false,
        damaged: check.isDamaged || (picture?.damaged ?? progress.stage === 'damaged'),
      };
    };
    return {
      stepsUsed: step,
      t,
      bytesUsed,
      knownSamples: known,
      bitsPerDim: (bytesUsed * 8) / (header.width * header.height * 3),
      alpha: hasAlpha,
      checksum: header.checksums ? check.stateAt(step) : 'none',
      reconstruct: reconstructAt,
    };
  }
}

/** Images with more pixels are never decoded: the chain has several arrays of floats for them, of 3 GB each at this size. */
const MOST_PIXELS = 2 ** 28;

/** Refuses oversized images before the plan or any pixel memory is allocated. */
export function checkSize({ width, height }: Size, maxPixels: number): void {
  if (width * height > MOST_PIXELS) {
    throw new CodecError('format', `image size: expected at most ${MOST_PIXELS} pixels, got ${width}x${height}`);
  }
  if (width * height > maxPixels) {
    throw new CodecError(
      'format',
      `image size: expected at most ${maxPixels} pixels, got ${width}x${height}; raise \`maxPixels\` if you trust the file`,
    );
  }
}

/**
 * The error for a wrong checksum.
 * @param sound steps before the first damaged section
 */
export function damagedSteps({ boundaries }: Layout, sound: number): CodecError {
  return new CodecError(
    'format',
    `the file is damaged after step ${sound}, byte ${boundaries[sound]}: a checksum is wrong; \`tolerant\` makes the best of it`,
  );
}
