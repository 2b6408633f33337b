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

/** Something of a network's that differs by band, such as the compiled network. */
export interface ByBand<T> {
  /** That for a timestep, opened when it is first asked for. */
  at(t: number): Promise<T>;
  dispose(): Promise<void>;
}

/** @param open makes it of a network, of which it leaves the bands alone */
export function openByBand<
  N extends { readonly bands?: readonly NetworkBand<N>[] },
  T extends { dispose(): Promise<void> },
>(network: N, open: (network: N) => Promise<T>): ByBand<T> {
  const opened = new Map<Band | undefined, Promise<T>>();
  return {
    at(t) {
      const band = bandAt(network.bands, t);
      const known = opened.get(band);
      if (known) return known;
      const opening = (band ? band.load() : Promise.resolve(network)).then(open);
      opened.set(band, opening);
      // Who asks again is not refused for it.
      opening.catch(() => opened.delete(band));
      return opening;
    },
    async dispose() {
      const settled = await Promise.allSettled(opened.values());
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
  throw new CodecError('usage', `band: expected timesteps LEAST:MOST from 1 to ${timesteps}, got ${least}:${most}`);
}

/** All timesteps of a schedule. */
export function wholeRange({ timesteps }: { readonly timesteps: number }): Band {
  return { least: 1, most: timesteps };
}
