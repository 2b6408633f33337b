/** The report of an evaluation: the document, and text for people. */
import { counted } from '../../common/counted.js';
import type { Bound, Estimate, ImageBound, Term } from '../../model/likelihood.js';
import type { ReverseVariance } from '../../model/parameterization.js';
import type { InceptionScore } from '../../report/fid.js';
import { table } from '../console.js';

/**
 * The document that `--json` prints and `-o` writes. Estimates are means over images with their standard errors (null
 * for one image).
 */
export interface EvalReport {
  /** Version of this package. */
  readonly version: string;
  /** References to the images, as they were given. */
  readonly data: readonly string[];
  readonly likelihood?: LikelihoodReport;
  readonly gap?: GapReport;
  readonly fid?: FidReport;
  /** Images that could not be used, with reasons; the numbers cover the others. */
  readonly skipped: readonly { readonly name: string; readonly error: string }[];
}

export interface LikelihoodReport {
  readonly model: { readonly name: string; readonly id: string };
  readonly engine: string;
  readonly options: {
    readonly timesteps: number | 'all';
    readonly variance: ReverseVariance;
    readonly clip: boolean;
    readonly crop: number | null;
    readonly seed: string;
  };
  readonly width: number;
  readonly height: number;
  /** L_T, L_1:T-1, L_0 and their sum, bits/dim. */
  readonly bound: Bound;
  /** L_1:T, bits/dim. */
  readonly rate: Estimate;
  /** L_0, bits/dim. */
  readonly distortion: Estimate;
  /** RMSE of xhat0 at t = 1, grey levels 0..255. */
  readonly rmse: Estimate;
  /** L_{t-1} in bits/dim, and mean squared error of xhat0 on the scale -1..1, at each evaluated timestep. */
  readonly terms: readonly Term[];
  readonly perImage: readonly (ImageBound & { readonly name: string })[];
  readonly seconds: number;
}

export interface GapReport {
  /** Reference to training images of the model. */
  readonly train: string;
  readonly bound: Bound;
  /** Total of the data minus total of the training images, bits/dim. */
  readonly gap: Estimate;
}

export interface FidReport {
  /** Reference to the images that the data is compared with. */
  readonly against: string;
  readonly features: string;
  /** Dimensions of a feature vector. */
  readonly dimensions: number;
  readonly images: { readonly data: number; readonly against: number };
  readonly fid: number;
  /** Only where the network gives class probabilities. */
  readonly inceptionScore?: { readonly data: InceptionScore; readonly against: InceptionScore };
}

/** The report as lines of text. */
export function describeReport({ data, likelihood, gap, fid }: EvalReport): string[] {
  return [
    ...(likelihood ? [describeLikelihood(likelihood, data), ...describeTable(likelihood, gap)] : []),
    ...(fid ? describeFid(fid) : []),
  ];
}

function describeLikelihood({ bound, options }: LikelihoodReport, data: readonly string[]): string {
  const { timesteps, variance, clip } = options;
  const what = timesteps === 'all' ? 'all timesteps' : `t = 1 and ${counted(timesteps, 'timestep')} of each`;
  return `${data.join(' ')}: ${counted(bound.images, 'image')}, ${what}, variance ${variance}, predictions ${clip ? '' : 'not '}clipped`;
}

function describeTable({ bound, rate, distortion, rmse }: LikelihoodReport, gap: GapReport | undefined): string[] {
  const row = (name: string, { value, standardError }: Estimate, unit = 'bits/dim') => [
    name,
    inFigures(value),
    `± ${inFigures(standardError)}`,
    unit,
  ];
  return table(
    [
      row('L_T', bound.prior),
      row('L_1:T-1', bound.diffusion),
      row('L_0', bound.decoder),
      row('total', bound.total),
      row('rate, L_1:T', rate),
      row('distortion, L_0', distortion),
      row('RMSE of xhat0 at t = 1', rmse, 'grey levels'),
      ...(gap ? [row(`total, ${gap.train}`, gap.bound.total), row('gap to it', gap.gap)] : []),
    ],
    [0, 3],
  );
}

function describeFid({ against, fid, inceptionScore, images, features }: FidReport): string[] {
  const scores = inceptionScore && [
    `inception score: ${describeScore(inceptionScore.data)} of the data, ${describeScore(inceptionScore.against)} of ${against}`,
  ];
  return [
    `FID ${fid.toPrecision(5)} between ${counted(images.data, 'image')} and ${images.against} of ${against}, by ${features}`,
    ...(scores ?? []),
  ];
}

function describeScore({ value, standardDeviation, parts }: InceptionScore): string {
  return parts > 1 ? `${value.toFixed(3)} ± ${standardDeviation.toFixed(3)}` : value.toFixed(3);
}

function inFigures(value: number): string {
  if (Number.isNaN(value)) return 'unknown';
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toFixed(4);
}
