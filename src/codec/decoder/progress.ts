/** Progress of a decoding, measured in work. */
import type { DecoderPoint, Realism } from '../api.js';
import type { Layout } from '../format/layout.js';
import type { PlanModel } from '../format/plan.js';
import { ChainWork, risingShare } from '../work.js';

/** Work of reading a tail, as a fraction of an evaluation of the network. */
const TAIL_WORK = 0.4;

export class DecodeProgress {
  private readonly work: ChainWork;
  private readonly share = risingShare();
  private readonly samples: number;
  private readonly tail: number;
  /** Work of the intermediate pictures: those still to come, and those already shown. */
  private toShow: number;
  private shown = 0;

  /**
   * @param steps that are decoded
   * @param realism of the pictures
   * @param pictures numbers of steps after which intermediate pictures are shown, where known
   */
  constructor(
    model: PlanModel,
    { header, written, unwritten }: Layout,
    private readonly steps: number,
    private readonly realism: Realism = 0,
    pictures: readonly number[] = [],
  ) {
    this.work = new ChainWork(model, header, [...written, ...unwritten]);
    this.samples = header.width * header.height * 3;
    this.tail = header.tail && steps === written.length ? TAIL_WORK : 0;
    this.toShow = pictures.reduce((sum, step) => sum + this.onTheWay(step), 0);
  }

  /** @returns fraction of the work done at a point, 0..1 */
  at({ stepsUsed, knownSamples }: Pick<DecoderPoint, 'stepsUsed' | 'knownSamples'>): number {
    const { work, steps, shown, toShow, tail } = this;
    const last = tail > 0 ? work.best(steps) : this.picture(steps);
    const known = knownSamples > 0 ? last + (tail * knownSamples) / this.samples : 0;
    const done = work.through(stepsUsed) + shown + known;
    return this.share(done, work.through(steps) + last + tail + shown + toShow - done);
  }

  /** Counts an intermediate picture as made. */
  show(step: number): void {
    const picture = this.onTheWay(step);
    this.shown += picture;
    this.toShow = Math.max(0, this.toShow - picture);
  }

  /** Work of an intermediate picture; that of the last step's picture is counted in any case. */
  private onTheWay(step: number): number {
    return step < this.steps ? this.picture(step) - this.work.ofChain(step) : 0;
  }

  /** Work of a picture, with the best xhat0 of its state. For any realism but 0 the chain goes on to the end of the plan. */
  private picture(step: number): number {
    const { work, realism } = this;
    if (realism === 0) return work.picture(step);
    return (realism === 'sample' ? work.best(step) : work.picture(step)) + work.onward(step);
  }
}
