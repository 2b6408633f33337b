/**
 * Noise bands with their own weights. A network makes errors of different kinds: in little noise it has to tell noise
 * from detail, and in much noise only large shapes remain. One set of weights has to handle both. Weights trained
 * further on a part of the timesteps alone are better there and useless elsewhere. The timestep alone decides which
 * network is asked.
 */
import { CodecError } from '../common/errors.js';

/** A range of timesteps, both ends included. */
export interface Band {
  readonly least: number;
  readonly most: number;
}

/** The network of a band. */
export interface NetworkBand<Network> extends Band {
  /**
   * The band's network, itself without bands; every call gives the same one.
   * @throws CodecError('model') where its weights are invalid
   */
  load(): Promise<Network>;
}

/** The band that contains a timestep. */
export function bandAt<B extends Band>(bands: readonly B[] | undefined, t: number): B | undefined {
  return bands?.find(({ least, most }) => least <= t && t <= most);
}

/** A network that may have bands. */
interface Banded<N> {
  readonly bands?: readonly NetworkBand<N>[];
}

/** The network for a timestep. */
export async function networkAt<N extends Banded<N>>(network: N, t: number): Promise<N> {
  const band = bandAt(network.bands, t);
  return band ? band.load() : network;
}

/** Something made from a network that has to be disposed, such as the compiled network. */
interface Disposable {
  dispose(): Promise<void>;
}

/** Objects made from a network and from the networks of its bands. */
export interface ByBand<T> {
  /** The object for a timestep, made when it is first requested. */
  at(t: number): Promise<T>;
  dispose(): Promise<void>;
}

/** @param make must not use the bands of the network that it is given */
export function makeByBand<N extends Banded<N>, T extends Disposable>(
  network: N,
  make: (network: N) => Promise<T>,
): ByBand<T> {
  const made = new Map<Band | undefined, Promise<T>>();
  return {
    at(t) {
      const band = bandAt(network.bands, t);
      const making = made.get(band) ?? networkAt(network, t).then(make);
      made.set(band, making);
      // A failure is not kept, so that a later request may try again.
      making.catch(() => made.delete(band));
      return making;
    },
    async dispose() {
      const settled = await Promise.allSettled(made.values());
      await Promise.all(settled.map(async (one) => one.status === 'fulfilled' && one.value.dispose()));
    },
  };
}

export function isSameBand(a: Band, b: Band): boolean {
  return a.least === b.least && a.most === b.most;
}

/** Name of a band, as in `--band` and in file names: `4-60`. */
export function nameOfBand({ least, most }: Band, between = '-'): string {
  return `${least}${between}${most}`;
}

/** @throws CodecError('usage') unless the band lies within the schedule's timesteps */
export function checkBand({ least, most }: Band, { timesteps }: { readonly timesteps: number }): void {
  if (Number.isInteger(least) && Number.isInteger(most) && least >= 1 && least < most && most <= timesteps) return;
  throw new CodecError('usage', `\`band\`: expected timesteps LEAST:MOST from 1 to ${timesteps}, got ${least}:${most}`);
}

/** All timesteps of a schedule. */
export function wholeRange({ timesteps }: { readonly timesteps: number }): Band {
  return { least: 1, most: timesteps };
}
