/**
 * The chain that encoder and decoder walk together. It starts at x_T from the seed. Each step t -> s of a plan computes
 * x_s = mean_p(x_t, xhat0) + sigma z (Ho, Jain & Abbeel 2020, Algorithms 3 and 4, with jumps), where z consists of the
 * codewords of the step's blocks. The chain does not know where z comes from: an encoder chooses the codewords, a
 * decoder reads them, and a reconstruction continues without any.
 */
import type { Size } from '../image/image.js';
import type { Denoiser, NetworkEvaluation, NoisyPicture, PredictOptions } from '../model/denoiser.js';
import { checkFinite } from '../model/network.js';
import { optimalVariance } from '../model/parameterization.js';
import { isBest, type Pyramid, placeAsked, workAt } from '../model/pyramid.js';
import {
  deltaScale,
  flowAhead,
  flowCoefficients,
  jumpCoefficients,
  jumpKlBits,
  type Schedule,
} from '../model/schedule.js';
import { meanOfBoth, type Symmetry, transform } from '../model/symmetry.js';
import type { PlannedPicture } from './format/plan.js';
import { type Block, type BlockCounts, noise, type StepMemory, stepBlocks, stepMemory } from './trellis/blocks.js';

/** The part of a model that a chain needs. */
export interface ChainModel {
  readonly schedule: Schedule;
  readonly denoiser: Denoiser;
  readonly pyramid?: Pyramid;
  readonly symmetry?: Symmetry;
}

/** Identifies a chain; the same at both ends of a file. */
export interface ChainStart extends PlannedPicture {
  /** Seed for x_T, permutations and signs. */
  readonly seed: number;
}

/** xhat0 of a slightly moved state, and the factor for its difference from xhat0. */
export interface Derivative {
  readonly moved: Float32Array;
  readonly factor: number;
}

/** Step of the finite difference of {@link Chain.derivative}, in standard deviations of the noise in x_t. */
const DERIVATIVE_STEP = 0.05;

/** The target of a step. */
export interface Jump {
  /** Timestep. */
  readonly s: number;
  /** Whether the network is asked for xhat0 there; otherwise its last output is moved. */
  readonly asks: boolean;
}

/** What a step of the flow keeps for the next one. */
interface FlowStep {
  /** Timestep where the step began. */
  readonly t: number;
  /** How many times the picture was halved for the network. */
  readonly halvings: number;
  /** The xhat0 that the whole step used, and its coefficient. */
  readonly drawn: Float32Array;
  readonly x0: number;
}

/**
 * The state of a chain. It holds four arrays of the picture's size (and one more for {@link Chain.flow}): three of 4
 * bytes per value, and one of 5 that is made for steps with blocks. {@link Chain.derivative} makes two more of 4, and
 * {@link Chain.shown} three, of which it keeps two. With a model that has an update, a chain also holds what is kept of
 * the last evaluation.
 */
export class Chain {
  /** x_t. */
  private readonly state: Float32Array;
  private readonly estimated: Float32Array;
  /** xhat0 of the present state, once it has been requested; all callers wait for the same promise. */
  private estimation: Promise<Float32Array> | undefined;
  /** The resolved value of `estimation`. */
  private xhat0: Float32Array | undefined;
  /** The best xhat0 of the present state as a promise, and its value once resolved. */
  private bestEstimation: Promise<Float32Array> | undefined;
  private bestXhat0: Float32Array | undefined;
  /** {@link shown} of the present state as a promise. */
  private showing: Promise<Float32Array> | undefined;
  /** See {@link asked}. */
  private askedAt: number;
  /** The network's last evaluation, where it is kept. */
  private evaluation: NetworkEvaluation | undefined;
  private memory: StepMemory | undefined;
  private timestep: number;
  private stepsTaken = 0;
  /** The last step of {@link flow}; {@link z} holds the xhat0 at which it began. */
  private flowed: FlowStep | undefined;
  private work = 0;
  /**
   * z of the next step, to be filled before {@link advance}: height * width * 3 values of variance 1. Until then it
   * serves as scratch memory.
   */
  readonly z: Float32Array;

  private constructor(
    private readonly model: ChainModel,
    private readonly start: ChainStart,
  ) {
    const length = start.width * start.height * 3;
    this.state = new Float32Array(length);
    this.estimated = new Float32Array(length);
    this.z = new Float32Array(length);
    this.timestep = model.schedule.timesteps;
    this.askedAt = this.timestep;
  }

  /** Begins a chain. x_T has variance 1 and depends on the seed alone. */
  static begin(model: ChainModel, start: ChainStart): Chain {
    const chain = new Chain(model, start);
    noise(start.seed, 0, chain.state);
    return chain;
  }

  /** Of the picture, in pixels. */
  get size(): Size {
    return this.start;
  }

  /** Timestep reached, from T down. */
  get t(): number {
    return this.timestep;
  }

  /** Steps taken. */
  get step(): number {
    return this.stepsTaken;
  }

  /** Signal-to-noise ratio of x_t. */
  get snr(): number {
    return this.model.schedule.snr[this.timestep];
  }

  /** Whether x_t contains any information about a picture: x_T does not. */
  get isInformed(): boolean {
    return this.timestep < this.model.schedule.timesteps;
  }

  /** Whether {@link estimate} and {@link shown} are the same. */
  get isShown(): boolean {
    return this.isBest && this.symmetry === undefined;
  }

  /** Whether {@link estimate} and {@link best} are the same. */
  get isBest(): boolean {
    return !this.isInformed || (this.asked === this.t && this.hasBestSize);
  }

  /** Whether {@link estimate} is made at the size of the picture that {@link best} is made at. */
  get hasBestSize(): boolean {
    return isBest(this.model.pyramid, this.model.schedule, { ...this.start, t: this.timestep });
  }

  /** Timestep of the last state at which the network is asked: the present one, or that of the output that xhat0 is moved from. */
  get asked(): number {
    return this.askedAt;
  }

  /** The network's work so far, in evaluations of the whole picture at full size; updates are not counted. */
  get networkEvaluations(): number {
    return this.work;
  }

  /**
   * xhat0 of the present state, in [-1, 1], for coding the next step. It comes from the network, which is asked once
   * per state, or from moving the network's last output. At x_T the network is not asked, because x_T contains nothing
   * of the picture; xhat0 is 0, mid-grey. (A network that predicts noise would have its output amplified 157 times
   * there, and with it the last bits, in which engines differ.)
   * @returns an array owned by the chain, valid until {@link advance}
   */
  estimate(signal?: AbortSignal): Promise<Float32Array> {
    this.estimation ??= this.evaluate(signal);
    return this.estimation;
  }

  /**
   * The best xhat0 of the present state by one evaluation. The network is asked for it, unless it was asked already. The
   * rest of the chain does not depend on it.
   * @returns an array owned by the chain, valid until {@link advance}
   */
  best(signal?: AbortSignal): Promise<Float32Array> {
    if (this.isBest) return this.estimate(signal);
    this.bestEstimation ??= this.askBest(signal);
    return this.bestEstimation;
  }

  /**
   * The picture that a decoder shows at the present state: {@link best}, or the mean of it and of that of the transformed
   * state where the model has a symmetry. The rest of the chain does not depend on it.
   * @returns an array owned by the chain, valid until {@link advance}
   */
  shown(signal?: AbortSignal): Promise<Float32Array> {
    const { symmetry } = this;
    if (symmetry === undefined) return this.best(signal);
    this.showing ??= this.askBoth(symmetry, signal);
    return this.showing;
  }

  /**
   * Whether xhat0 of the present state is moved from the network's last output. Then {@link derivative} is an update's,
   * and costs a fraction of an evaluation.
   */
  get isMoved(): boolean {
    return this.asked !== this.t && this.evaluation !== undefined;
  }

  /**
   * The response of xhat0 to a change of the state, which is the posterior covariance of x_0 up to scale: J e is about
   * factor * (moved - xhat0). Takes one evaluation of the network, or an update.
   * @param error e, the direction; height * width * 3 values
   * @returns undefined where e is 0
   */
  async derivative(error: Float32Array, signal?: AbortSignal): Promise<Derivative | undefined> {
    const abar = this.model.schedule.alphasCumprod[this.timestep];
    const rms = Math.sqrt(squaredNorm(error) / error.length);
    if (rms === 0) return undefined;
    const step = (DERIVATIVE_STEP * Math.sqrt(1 - abar)) / rms;
    const moved = this.state.slice();
    for (let i = 0; i < moved.length; i++) moved[i] += step * error[i];
    return { moved: await this.answerTo(moved, signal), factor: Math.sqrt(abar) / step };
  }

  /**
   * KL(q||p) of a step to s, in bits.
   * @param squaredError |x_0 - xhat0|^2 over all dimensions
   */
  klBits(s: number, squaredError: number): number {
    return jumpKlBits(this.model.schedule, this.timestep, s, squaredError);
  }

  /** The factor that turns x_0 - xhat0 into delta, the mean of z under q for a step to s. */
  deltaScale(s: number): number {
    return deltaScale(this.model.schedule, this.timestep, s);
  }

  /** Blocks of the next step, valid until the blocks of another step are requested. */
  blocks(planned: BlockCounts, stateBits: number): Block[] {
    this.memory ??= stepMemory(this.state.length);
    return stepBlocks(this.start.seed, this.stepsTaken + 1, planned, stateBits, this.memory);
  }

  /** Fills z for a step that sends nothing. */
  drawNoise(): void {
    noise(this.start.seed, this.stepsTaken + 1, this.z);
  }

  /** Advances x_t to x_s, using xhat0 and z. @param sigma standard deviation of x_s; default that of q(x_s|x_t, x_0) */
  async advance({ s, asks }: Jump, signal?: AbortSignal, sigma?: number): Promise<void> {
    const xhat0 = await this.estimate(signal);
    const { x0, xt, sigma: known } = jumpCoefficients(this.model.schedule, this.timestep, s);
    const { state, z } = this;
    const deviation = sigma ?? known;
    for (let i = 0; i < state.length; i++) state[i] = x0 * xhat0[i] + xt * state[i] + deviation * z[i];
    this.flowed = undefined;
    this.moved({ s, asks });
  }

  /** Draws x_s from p(x_s|x_t) with its optimal variance, by the noise of a step that sends nothing. */
  async draw(jump: Jump, expectedErrors: ArrayLike<number>, signal?: AbortSignal): Promise<void> {
    this.drawNoise();
    const variance = optimalVariance(this.model.schedule, expectedErrors, this.timestep, jump.s);
    await this.advance(jump, signal, Math.sqrt(variance));
  }

  /**
   * Advances x_t to x_s along the probability-flow ODE with the best xhat0, by a second-order step of UniPC (Zhao et
   * al. 2023). This is DDIM's step (Song, Meng & Ermon 2021, Eq. 12 with sigma = 0) with xhat0 at the middle of the
   * step, extrapolated from the previous step. The previous step is corrected first, because its own middle is known by
   * now. The first step is plain DDIM, and so is the first one at another size of the network's picture. {@link z} is
   * overwritten.
   */
  async flow(s: number, signal?: AbortSignal): Promise<void> {
    const { state, z: before, timestep: t, model } = this;
    const xhat0 = await this.best(signal);
    const { x0, xt } = flowCoefficients(model.schedule, t, s);
    const { halvings } = placeAsked(model.pyramid, model.schedule, { ...this.start, t }, true);
    const last = this.flowed?.halvings === halvings ? this.flowed : undefined;
    const ahead = last ? flowAhead(model.schedule, [last.t, t, s]) : 0;
    const drawn = this.flowed?.drawn ?? new Float32Array(state.length);
    for (let i = 0; i < state.length; i++) {
      const now = xhat0[i];
      const right = last ? last.x0 * ((before[i] + now) / 2 - drawn[i]) : 0;
      const ahead0 = last ? ahead * (now - before[i]) : 0;
      state[i] = x0 * (now + ahead0) + xt * (state[i] + right);
      before[i] = now;
      drawn[i] = now + ahead0;
    }
    this.flowed = { t, halvings, x0, drawn };
    this.moved({ s, asks: true });
  }

  /** A copy of the chain in the same state, independent from then on. */
  fork(): Chain {
    const fork = new Chain(this.model, this.start);
    fork.state.set(this.state);
    if (this.xhat0) {
      fork.estimated.set(this.xhat0);
      fork.xhat0 = fork.estimated;
      fork.estimation = Promise.resolve(fork.estimated);
    }
    if (this.bestXhat0) fork.bestEstimation = Promise.resolve(this.bestXhat0);
    fork.evaluation = this.evaluation;
    fork.askedAt = this.askedAt;
    fork.work = this.work;
    fork.timestep = this.timestep;
    fork.stepsTaken = this.stepsTaken;
    return fork;
  }

  /** The model's symmetry; x_T is not estimated, so there is no second estimate of it. */
  private get symmetry(): Symmetry | undefined {
    return this.isInformed ? this.model.symmetry : undefined;
  }

  private moved({ s, asks }: Jump): void {
    this.timestep = s;
    if (asks) this.askedAt = s;
    this.stepsTaken++;
    this.xhat0 = undefined;
    this.estimation = undefined;
    this.bestEstimation = undefined;
    this.bestXhat0 = undefined;
    this.showing = undefined;
  }

  private async evaluate(signal: AbortSignal | undefined): Promise<Float32Array> {
    try {
      this.xhat0 = this.isInformed ? await this.ofNetwork(signal) : this.estimated.fill(0);
      return this.xhat0;
    } catch (error) {
      // A later request may try again.
      this.estimation = undefined;
      throw error;
    }
  }

  private async askBest(signal: AbortSignal | undefined): Promise<Float32Array> {
    try {
      this.bestXhat0 = await this.ask(this.state, signal, { best: true });
      return this.bestXhat0;
    } catch (error) {
      this.bestEstimation = undefined;
      throw error;
    }
  }

  private async askBoth(symmetry: Symmetry, signal: AbortSignal | undefined): Promise<Float32Array> {
    try {
      // One after the other: there is no memory for two evaluations.
      const best = await this.best(signal);
      const other = await this.ask(transform(this.state.slice(), this.size, symmetry), signal, { best: true });
      return meanOfBoth(best, other, this.size, symmetry);
    } catch (error) {
      this.showing = undefined;
      throw error;
    }
  }

  /** xhat0 of another state at the present timestep. */
  private answerTo(xt: Float32Array, signal: AbortSignal | undefined): Promise<Float32Array> {
    if (this.isMoved) return this.evaluation!.move(this.picture(xt), { signal });
    return this.ask(xt, signal);
  }

  private async ofNetwork(signal: AbortSignal | undefined): Promise<Float32Array> {
    const { estimated, model } = this;
    const picture = this.picture();
    if (this.isMoved) return this.evaluation!.move(picture, { into: estimated, signal });
    if (!model.denoiser.evaluate) return this.ask(this.state, signal, { into: estimated });
    // There is no memory for two evaluations.
    this.evaluation = undefined;
    this.work += workAt(model.pyramid, model.schedule, picture);
    this.evaluation = await model.denoiser.evaluate(picture, { signal });
    checkFinite(this.evaluation.xhat0);
    return this.evaluation.xhat0;
  }

  private picture(xt = this.state): NoisyPicture {
    const { width, height, detail } = this.start;
    return { xt, width, height, t: this.timestep, detail };
  }

  private async ask(
    xt: Float32Array,
    signal: AbortSignal | undefined,
    { into, best = false }: Pick<PredictOptions, 'into' | 'best'> = {},
  ): Promise<Float32Array> {
    const picture = this.picture(xt);
    signal?.throwIfAborted();
    this.work += workAt(this.model.pyramid, this.model.schedule, picture, best);
    const xhat0 = await this.model.denoiser.predictX0(picture, { into, signal, best });
    // Coding works only with finite numbers, and a denoiser may come from anybody.
    checkFinite(xhat0);
    return xhat0;
  }
}

/** Sum of squares. */
export function squaredNorm(a: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * a[i];
  return sum;
}
