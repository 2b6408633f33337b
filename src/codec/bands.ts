/** Weights for noise bands, as stored in a model's files. */
import { array, check, maxLength, minLength, pipe, regex, string } from 'valibot';
import { checkArgument, checkBytes, checkObject } from '../common/arguments.js';
import { hexSha256 } from '../common/bytes.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { checked, integerFrom, objectOf } from '../common/foreign.js';
import { once } from '../common/once.js';
import type { Engine } from '../engine/engine.js';
import { type Band, nameOfBand } from '../model/bands.js';
import type { UNetConfig } from '../model/config.js';
import { tryNetwork } from '../model/network.js';
import { readSafetensors } from '../model/safetensors.js';
import { MAX_TIMESTEPS } from '../model/schedule.js';
import { createUNet, type UNet } from '../model/unet.js';

/** A band of timesteps with its own weights in a file of their own ({@link bandFile}). */
export interface WeightsBand extends Band {
  /** Hex SHA-256 of that file. */
  readonly sha256: string;
}

/** Reads the contents of {@link bandFile}. */
export type ReadBand = (band: Band) => Promise<Uint8Array>;

const TIMESTEP = { type: 'number', integer: true, least: 1, most: MAX_TIMESTEPS } as const;

/**
 * Name of the weights file of a band: `band-4-60.safetensors`.
 * @throws CodecError('usage') for an invalid band
 */
export function bandFile(band: Band): string {
  checkObject('band', band);
  checkArgument('band least', TIMESTEP, band.least);
  checkArgument('band most', TIMESTEP, band.most);
  return `band-${nameOfBand(band)}.safetensors`;
}

/**
 * A model's network together with those of its bands.
 * @param weights as stored, for all timesteps outside the bands
 * @param readBand reads the weights of bands; they are checked
 * @throws CodecError('model') where weights do not fit, for bands from their `load`; 'usage' for bands without
 *   `readBand`
 */
export function createBandedUNet(
  engine: Engine,
  config: UNetConfig,
  weights: Uint8Array,
  bands: readonly WeightsBand[] | undefined,
  readBand: ReadBand | undefined,
): UNet {
  const network = createUNet(config, readSafetensors(weights));
  if (!bands) return network;
  if (!readBand) {
    throw invalidArgument('`readBand`', `a function that reads ${bandFile(bands[0])}`, readBand);
  }
  const load = async (band: WeightsBand) => {
    const { least, most } = band;
    const weights = await readBand({ least, most });
    checkBytes(bandFile(band), weights);
    await checkBandWeights(band, weights);
    const network = createUNet(config, readSafetensors(weights));
    await tryNetwork(engine, network, band);
    return network;
  };
  return {
    ...network,
    bands: bands.map((band) => ({ least: band.least, most: band.most, load: once(() => load(band)) })),
  };
}

/** @throws CodecError('model') unless the weights match the hash in `codec.json` */
export async function checkBandWeights(band: WeightsBand, weights: Uint8Array): Promise<void> {
  const found = await hexSha256(weights);
  if (found === band.sha256) return;
  throw new CodecError(
    'model',
    `${bandFile(band)}: expected SHA-256 ${band.sha256}, got ${found}; it is damaged, or of another model`,
  );
}

/** With more bands, each would have too few timesteps to be useful. */
export const MOST_BANDS = 8;

/** The bands of `codec.json`. @param timesteps T */
export function bandsWithin(timesteps: number) {
  return pipe(
    array(
      objectOf({
        least: integerFrom(1, timesteps),
        most: integerFrom(1, timesteps),
        sha256: pipe(string(), regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits')),
      }),
    ),
    minLength(1, 'at least one band'),
    maxLength(MOST_BANDS, `at most ${MOST_BANDS} bands`),
    check(areApart, 'bands from `least` to `most`, each above the one before'),
  );
}

/**
 * Refuses bands outside the timesteps of a schedule.
 * @throws CodecError('model')
 */
export function checkBands(bands: readonly WeightsBand[], timesteps: number): void {
  checked(objectOf({ bands: bandsWithin(timesteps) }), { bands }, 'codec.json');
}

function areApart<B extends Band>(bands: B[]): boolean {
  return bands.every(({ least, most }, i) => least < most && (i === 0 || least > bands[i - 1].most));
}
