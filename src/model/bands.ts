/**
 * Bands of noise with weights of their own. How much a network errs is decided by how little noise it has to tell from a picture's
 * detail, or how much of it hides all but shapes, and one set of weights has to do both. Trained further on a part of the timesteps
 * alone it is better there, and of no use elsewhere. Which network is asked depends on the timestep only.
 */
import { CodecError } from '../common/errors.js';

/** A part of the timesteps, both ends included. */
export interface Band {
  readonly least: number;
  readonly most: number;
}

/** A network for a band. */
export interface NetworkBand<Network> extends Band {
  /** Its network, without bands; the same one each time. @throws CodecError('model') where its weights are not what they should be */
  load(): Promise<Network>;
}

/** The band that a timestep is in. */
export function bandAt<B extends Band>(bands: readonly B[] | undefined, t: number): B | undefined {
  return bands?.find(({ least, most }) => least <= t && t <= most);
}

/** A network that may have bands. */
interface Banded<N> {
  readonly bands?: readonly NetworkBand<N>[];
}

/** The network that is asked at a timestep. */
export async function networkAt<N extends Banded<N>>(network: N, t: number): Promise<N> {
  const band = bandAt(network.bands, t);
  return band ? band.load() : network;
}

/** Something made of a network that is to be given back, such as the compiled network. */
interface Disposable {
  dispose(): Promise<void>;
}

/** What is made of a network, and of those of its bands. */
export interface ByBand<T> {
  /** That for a timestep, made when it is first asked for. */
  at(t: number): Promise<T>;
  dispose(): Promise<void>;
}

/** @param make leaves the bands of the network that it is given alone */
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
      // Who asks again is not refused for it.
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

/** As in `--band` and in names of files: `4-60`. */
export function nameOfBand({ least, most }: Band, between = '-'): string {
  return `${least}${between}${most}`;
}

/** @throws CodecError('usage') unless it is a part of the schedule's timesteps */
export function checkBand({ least, most }: Band, { timesteps }: { readonly timesteps: number }): void {
  if (Number.isInteger(least) && Number.isInteger(most) && least >= 1 && least < most && most <= timesteps) return;
  throw new CodecError('usage', `\`band\`: expected timesteps LEAST:MOST from 1 to ${timesteps}, got ${least}:${most}`);
}

/** All timesteps of a schedule. */
export function wholeRange({ timesteps }: { readonly timesteps: number }): Band {
  return { least: 1, most: timesteps };
}
