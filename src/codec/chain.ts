/**
 * The chain that encoder and decoder walk together: x_T from the seed, then for every step t -> s of a plan
 * x_s = mean_p(x_t, xhat0) + sigma z (Ho, Jain & Abbeel 2020, Algorithms 3 and 4, with jumps), where z is put together from the
 * codewords of the step's blocks. What is done with it is for others: an encoder chooses the codewords, a decoder reads them, a
 * reconstruction goes on without any.
 */
import type { Size } from '../image/image.js';
import type { Denoiser, NoisyPicture } from '../model/denoiser.js';
import { checkFinite } from '../model/network.js';
import { type Pyramid, workAt } from '../model/pyramid.js';
import {
  deltaScale,
  flowCoefficients,
  type JumpCoefficients,
  jumpCoefficients,
  jumpKlBits,
  type Schedule,
} from '../model/schedule.js';
import { type Block, type BlockCounts, noise, type StepMemory, stepBlocks, stepMemory } from './trellis/blocks.js';

/** What a chain needs of a model. */
export interface ChainModel {
  readonly schedule: Schedule;
  readonly denoiser: Denoiser;
  readonly pyramid?: Pyramid;
}

/** Which chain it is: the same for both ends of a file. */
export interface ChainStart extends Size {
  /** Names x_T, permutations and signs. */
  readonly seed: number;
}

/** xhat0 of a state that was moved a little, and what its difference from xhat0 is to be multiplied with. */
export interface Derivative {
  readonly moved: Float32Array;
  readonly factor: number;
}

/** Step of the finite difference of {@link Chain.derivative}, in standard deviations of the noise in x_t. */
const DERIVATIVE_STEP = 0.05;

/** Four arrays of the picture's size, three of 4 bytes a value and one that is made for steps with blocks, of 5. */
export class Chain {
  /** x_t. */
  private readonly state: Float32Array;
  private readonly estimated: Float32Array;
  /** The evaluation of the present state, once it has been asked for; whoever asks next waits for the same one. */
  private estimation: Promise<Float32Array> | undefined;
  /** Whether that has come to its end. */
  private isEstimated = false;
  private memory: StepMemory | undefined;
  private timestep: number;
  private stepsTaken = 0;
  private work = 0;
  /**
   * z of the next step, to be filled before {@link advance}: height * width * 3 values of variance 1. It is of use as scratch memory
   * before that.
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
  }

  /** Begins a chain: x_T has variance 1 and depends on the seed alone. */
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

  /** Whether x_t knows anything of a picture: x_T does not. */
  get isInformed(): boolean {
    return this.timestep < this.model.schedule.timesteps;
  }

  /** The network's work so far, in evaluations of the whole picture at its full size. */
  get networkEvaluations(): number {
    return this.work;
  }

  /**
   * xhat0 of the present state, in [-1, 1]. The network is asked once for a state. Of x_T it is not: that knows nothing of the picture,
   * so xhat0 is 0, mid-grey. (A network that predicts noise would have its output amplified 157 times there, and with it the last bits
   * in which engines differ.)
   * @returns an array of the chain's own, good until {@link advance}
   */
  estimate(signal?: AbortSignal): Promise<Float32Array> {
    this.estimation ??= this.evaluate(signal);
    return this.estimation;
  }

  /**
   * How xhat0 answers to a change of the state, which is the posterior covariance of x_0 up to scale: J e is about
   * factor * (moved - xhat0). One evaluation of the network.
   * @param error e, the direction; height * width * 3 values
   * @returns undefined where e is 0
   */
  async derivative(error: Float32Array, signal?: AbortSignal): Promise<Derivative | undefined> {
    const abar = this.model.schedule.alphasCumprod[this.timestep];
    const rms = Math.sqrt(squaredNorm(error) / error.length);
    if (rms === 0) return undefined;
    const step = (DERIVATIVE_STEP * Math.sqrt(1 - abar)) / rms;
    const moved = this.state.map((value, i) => value + step * error[i]);
    return { moved: await this.ask(moved, undefined, signal), factor: Math.sqrt(abar) / step };
  }

  /**
   * KL(q||p) of a step to s, in bits.
   * @param squaredError |x_0 - xhat0|^2 over all dimensions
   */
  klBits(s: number, squaredError: number): number {
    return jumpKlBits(this.model.schedule, this.timestep, s, squaredError);
  }

  /** What x_0 - xhat0 is to be multiplied with to give delta, the mean of z under q for a step to s. */
  deltaScale(s: number): number {
    return deltaScale(this.model.schedule, this.timestep, s);
  }

  /** Blocks of the next step, good until those of another are asked for. */
  blocks(planned: BlockCounts, stateBits: number): Block[] {
    this.memory ??= stepMemory(this.state.length);
    return stepBlocks(this.start.seed, this.stepsTaken + 1, planned, stateBits, this.memory);
  }

  /** Fills z for a step in which nothing is sent. */
  drawNoise(): void {
    noise(this.start.seed, this.stepsTaken + 1, this.z);
  }

  /** x_t becomes x_s, with xhat0 and z. */
  async advance(s: number, signal?: AbortSignal): Promise<void> {
    await this.move(s, jumpCoefficients(this.model.schedule, this.timestep, s), signal);
  }

  /** x_t becomes x_s by the probability-flow ODE: the deterministic step of DDIM (Song, Meng & Ermon 2021, Eq. 12 with sigma = 0). */
  async flow(s: number, signal?: AbortSignal): Promise<void> {
    await this.move(s, flowCoefficients(this.model.schedule, this.timestep, s), signal);
  }

  /** A chain in the same state that goes its own way. */
  fork(): Chain {
    const fork = new Chain(this.model, this.start);
    fork.state.set(this.state);
    if (this.isEstimated) {
      fork.estimated.set(this.estimated);
      fork.estimation = Promise.resolve(fork.estimated);
      fork.isEstimated = true;
    }
    fork.work = this.work;
    fork.timestep = this.timestep;
    fork.stepsTaken = this.stepsTaken;
    return fork;
  }

  private async move(s: number, { x0, xt, sigma }: JumpCoefficients, signal: AbortSignal | undefined): Promise<void> {
    const xhat0 = await this.estimate(signal);
    const { state, z } = this;
    if (sigma === 0) for (let i = 0; i < state.length; i++) state[i] = x0 * xhat0[i] + xt * state[i];
    else for (let i = 0; i < state.length; i++) state[i] = x0 * xhat0[i] + xt * state[i] + sigma * z[i];
    this.timestep = s;
    this.stepsTaken++;
    this.isEstimated = false;
    this.estimation = undefined;
  }

  private async evaluate(signal: AbortSignal | undefined): Promise<Float32Array> {
    try {
      if (this.isInformed) await this.ask(this.state, this.estimated, signal);
      else this.estimated.fill(0);
    } catch (error) {
      // Who asks again is not refused for it.
      this.estimation = undefined;
      throw error;
    }
    this.isEstimated = true;
    return this.estimated;
  }

  private async ask(
    xt: Float32Array,
    into: Float32Array | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const { width, height } = this.start;
    const picture: NoisyPicture = { xt, width, height, t: this.timestep };
    signal?.throwIfAborted();
    this.work += workAt(this.model.pyramid, this.model.schedule, picture);
    const xhat0 = await this.model.denoiser.predictX0(picture, { into, signal });
    // Coding ends only where numbers are some, and a denoiser may be anybody's.
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
