/** A tail that is a drawing: it does not depend on xhat0. */
import type { Size } from '../../image/image.js';
import { fromUnit, toUnit } from '../../image/pixels.js';
import { DrawingReader } from '../drawing/drawing-reader.js';
import { POINT_PIXELS } from '../drawing/passes.js';
import type { DrawingTail, TailHeader } from '../lossless/tail-header.js';
import { type TailPicture, type TailSource, verdict } from '../lossless/tail-reader.js';

const CHANNELS = 3;

export class DrawingTailReader implements TailSource {
  private readonly reader: DrawingReader;

  /**
   * @param shown the picture shown before anything is known, in [-1, 1]: height * width * 3 values
   * @param alpha the picture's alpha plane, where it has one
   */
  constructor(
    private readonly header: TailHeader & DrawingTail,
    size: Size,
    private readonly shown: Float32Array,
    private readonly alpha: Uint8Array | undefined,
  ) {
    const { hasPalette, isEven, step, codedBytes } = header;
    const { width, height } = size;
    this.reader = new DrawingReader({ width, height, channels: CHANNELS, hasPalette, isEven, step, codedBytes });
  }

  get known(): number {
    return this.reader.known * CHANNELS;
  }

  get isDone(): boolean {
    return this.reader.isDone;
  }

  get bytesUsed(): number {
    return this.header.bytes + this.reader.taken;
  }

  get missing(): number {
    return this.reader.missing;
  }

  append(bytes: Uint8Array): void {
    this.reader.append(bytes);
  }

  readGroup(): boolean {
    return this.reader.read(POINT_PIXELS);
  }

  picture(): TailPicture {
    const { reader, header, shown, known, alpha } = this;
    const samples = fromUnit(shown);
    reader.show(samples, header.filledPasses);
    return { values: toUnit(samples), known, ...verdict(samples, alpha, this, header.checksum) };
  }
}
