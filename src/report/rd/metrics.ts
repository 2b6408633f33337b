/** Measures of quality besides PSNR and MS-SSIM that a run is asked for: their names, their networks, and measuring them. */
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
  /** What it is measured on: a picture and its original, or all of them. */
  readonly of: 'picture' | 'set';
  /** Whether it takes a network, which the user names. */
  readonly network: boolean;
  readonly better: 'higher' | 'lower';
  /** Digits after the point, in tables. */
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
  /** SHA-256 of its network's file, hexadecimal; null where it has none. */
  readonly network: string | null;
}

/** Sides of the patches that FID and KID are of, as in HiFiC (Mentzer et al. 2020, appendix). */
export const PATCH = 256;

/** What is known of a metric by its name. */
export function metricKind(name: string): MetricKind {
  return METRICS.find((one) => one.name === name)!;
}

/** Those of a run that are of pictures, or of sets. */
export function metricsOf(metrics: readonly Metric[], of: MetricKind['of']): Metric[] {
  return metrics.filter(({ name }) => metricKind(name).of === of);
}

/** The networks that give features, each once. */
export function featureNetworks(metrics: readonly Metric[]): string[] {
  return [...new Set(metricsOf(metrics, 'set').map(({ network }) => network!))];
}

/** Where the networks are, by their SHA-256. */
export type NetworkFiles = Readonly<Record<string, string>>;

/**
 * The metrics of a list, `ssimulacra2,lpips=FILE,...`, in the order of {@link METRICS}.
 * @throws CodecError `usage` for what is no such list; `file` for a network that cannot be read
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

/** Patches of 256 x 256 side by side from the origin, and those 128 pixels right of and below them; of a picture that is smaller, all of it. */
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
 * Whether pictures give patches of one size, which a comparison of sets is of.
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

/** Opened metrics. */
export interface Measures {
  /** Each metric of pictures by its name; null where a picture has none: too small, or transparent. */
  of(original: RgbImage, decoded: RgbImage): Promise<Record<string, number | null>>;
  /**
   * Features of a picture's patches by each network that is asked for them, one after the other.
   * @throws CodecError `image` for a transparent one
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
