/** Quality metrics besides PSNR and MS-SSIM that a run can ask for: names, networks, and measuring. */
import { hexSha256 } from '../../common/bytes.js';
import { CodecError, invalidArgument } from '../../common/errors.js';
import { checkOpaque } from '../../image/alpha.js';
import { crop, type Rectangle } from '../../image/crop.js';
import type { RgbImage, Size } from '../../image/image.js';
import { hasSsimulacra2, ssimulacra2 } from '../../image/ssimulacra2.js';
import { readRegularFile } from '../../node/read.js';
import { openDistanceNetwork } from '../distance-network.js';
import { type FeatureNetwork, openFeatureNetwork } from '../feature-network.js';

export interface MetricKind {
  readonly name: string;
  readonly label: string;
  /** Whether it compares a picture with its original, or the sets of all pictures. */
  readonly of: 'picture' | 'set';
  /** Whether it needs a network, which the user names. */
  readonly network: boolean;
  readonly better: 'higher' | 'lower';
  /** Digits after the decimal point, in tables. */
  readonly digits: number;
}

export const METRICS: readonly MetricKind[] = [
  { name: 'ssimulacra2', label: 'SSIMULACRA2', of: 'picture', network: false, better: 'higher', digits: 2 },
  { name: 'lpips', label: 'LPIPS', of: 'picture', network: true, better: 'lower', digits: 4 },
  { name: 'dists', label: 'DISTS', of: 'picture', network: true, better: 'lower', digits: 4 },
  { name: 'fid', label: 'FID', of: 'set', network: true, better: 'lower', digits: 2 },
  { name: 'kid', label: 'KID', of: 'set', network: true, better: 'lower', digits: 5 },
];

/** A metric of a run. */
export interface Metric {
  readonly name: string;
  /** SHA-256 of its network's file, hexadecimal; null without a network. */
  readonly network: string | null;
}

/** Side of the patches for FID and KID, as in HiFiC (Mentzer et al. 2020, appendix). */
export const PATCH = 256;

/** Properties of a metric by its name. */
export function metricKind(name: string): MetricKind {
  return METRICS.find((one) => one.name === name)!;
}

/** The metrics of a run that apply to pictures, or to sets. */
export function metricsOf(metrics: readonly Metric[], of: MetricKind['of']): Metric[] {
  return metrics.filter(({ name }) => metricKind(name).of === of);
}

/** The networks that compute features, each once. */
export function featureNetworks(metrics: readonly Metric[]): string[] {
  return [...new Set(metricsOf(metrics, 'set').map(({ network }) => network!))];
}

/** Paths of the networks, by their SHA-256. */
export type NetworkFiles = Readonly<Record<string, string>>;

/**
 * Parses a list of metrics, `ssimulacra2,lpips=FILE,...`, into the order of {@link METRICS}.
 * @throws CodecError `usage` for anything else; `file` for a network that cannot be read
 */
export async function parseMetrics(list: string): Promise<{ metrics: Metric[]; files: NetworkFiles }> {
  const asked = new Map<string, string | undefined>();
  for (const part of list.split(',')) {
    const [name, ...rest] = part.trim().split('=');
    const file = rest.length === 0 ? undefined : rest.join('=');
    const kind = METRICS.find((one) => one.name === name);
    if (kind === undefined || kind.network !== Boolean(file) || (!kind.network && file !== undefined)) {
      const forms = METRICS.map((one) => (one.network ? `${one.name}=FILE.onnx` : one.name));
      throw invalidArgument('`metrics`', `some of ${forms.join(', ')}`, part);
    }
    if (asked.has(name)) throw invalidArgument('`metrics`', 'each metric once', list);
    asked.set(name, file);
  }
  const files: Record<string, string> = {};
  const metrics: Metric[] = [];
  for (const { name } of METRICS.filter((one) => asked.has(one.name))) {
    const file = asked.get(name);
    const network = file === undefined ? null : await hexSha256(await readRegularFile(file));
    if (network !== null) files[network] = file!;
    metrics.push({ name, network });
  }
  return { metrics, files };
}

/**
 * Patches of 256 x 256 side by side from the origin, and again 128 pixels to the right and down. A smaller picture is
 * one patch.
 */
export function patchesOf({ width, height }: Size): Rectangle[] {
  if (Math.min(width, height) < PATCH) return [{ left: 0, top: 0, width, height }];
  return [0, PATCH / 2].flatMap((origin) => {
    const patches: Rectangle[] = [];
    for (let top = origin; top + PATCH <= height; top += PATCH) {
      for (let left = origin; left + PATCH <= width; left += PATCH) {
        patches.push({ left, top, width: PATCH, height: PATCH });
      }
    }
    return patches;
  });
}

/**
 * Checks that pictures give patches of one size, as comparing sets requires.
 * @throws CodecError `usage` when they do not
 */
export function checkPatches(sizes: readonly Size[]): void {
  const some = new Set(sizes.flatMap(patchesOf).map(({ width, height }) => `${width}x${height}`));
  if (some.size <= 1) return;
  throw new CodecError(
    'usage',
    `\`metrics\`: FID and KID expected pictures of at least ${PATCH}x${PATCH}, or all of one size, got ${[...some].slice(0, 3).join(', ')}`,
  );
}

/** Metrics ready to measure. */
export interface Measures {
  /**
   * The value of each metric of pictures, by name; null where a picture has none because it is too small or
   * transparent.
   */
  of(original: RgbImage, decoded: RgbImage): Promise<Record<string, number | null>>;
  /**
   * Features of a picture's patches, in order, for each network of features.
   * @throws CodecError `image` for a transparent picture
   */
  features(image: RgbImage): Promise<ReadonlyMap<string, readonly Float32Array[]>>;
  dispose(): Promise<void>;
}

/**
 * Opens the networks of a run's metrics.
 * @throws CodecError as {@link openFeatureNetwork} does
 */
export async function openMeasures(
  metrics: readonly Metric[],
  files: NetworkFiles,
  threads?: number,
): Promise<Measures> {
  const disposals: (() => Promise<void>)[] = [];
  const dispose = async () => {
    for (const one of disposals.splice(0)) await one();
  };
  try {
    const measures = new Map<string, (original: RgbImage, decoded: RgbImage) => Promise<number> | number | null>();
    for (const { name, network } of metricsOf(metrics, 'picture')) {
      if (network === null) {
        measures.set(name, (a, b) => (hasSsimulacra2(a) ? ssimulacra2(a, b) : null));
        continue;
      }
      const opened = await openDistanceNetwork(files[network], threads);
      disposals.push(() => opened.dispose());
      measures.set(name, (a, b) => opened.distance(a, b));
    }
    const networks = new Map<string, FeatureNetwork>();
    for (const network of featureNetworks(metrics)) {
      const opened = await openFeatureNetwork(files[network], threads);
      disposals.push(() => opened.dispose());
      networks.set(network, opened);
    }
    return {
      async of(original, decoded) {
        const comparable = original.alpha === undefined && decoded.alpha === undefined;
        const values: Record<string, number | null> = {};
        for (const [name, measure] of measures) values[name] = comparable ? await measure(original, decoded) : null;
        return values;
      },
      async features(image) {
        if (networks.size > 0) checkOpaque(image, 'FID and KID');
        const patches = networks.size > 0 ? patchesOf(image).map((place) => crop(image, place)) : [];
        const found = new Map<string, Float32Array[]>();
        for (const [name, network] of networks) {
          const rows: Float32Array[] = [];
          for (let i = 0; i < patches.length; i += network.batch) {
            const some = await network.evaluate(patches.slice(i, i + network.batch));
            rows.push(...some.map(({ features }) => features));
          }
          found.set(name, rows);
        }
        return found;
      },
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}
