/** The options of `ddpm-codec train`, for a network and for an update. */
import { join } from 'node:path';
import { CodecError, invalidArgument } from '../../common/errors.js';
import type { RunRecord } from '../../model/training/checkpoint.js';
import type { RunLimits } from '../../model/training/run.js';
import type { TrainerOptions } from '../../model/training/trainer.js';
import { MOST_TILE } from '../../model/windows.js';
import { publicPath } from '../../node/files.js';
import type { ModelInfo } from '../../node/models.js';
import { type EngineArgs, integer, type OutputArgs, positive } from '../args.js';
import { refuseInputs } from '../jobs.js';

export interface TrainArgs extends EngineArgs, OutputArgs {
  readonly data?: string[];
  readonly out: string;
  readonly config?: string;
  readonly from?: string;
  readonly grow: boolean;
  readonly update: boolean;
  readonly band?: string;
  readonly model?: string;
  readonly steps?: unknown;
  readonly hours?: unknown;
  readonly batch?: unknown;
  readonly optimizer?: TrainerOptions['optimizer'];
  readonly lr?: unknown;
  readonly warmup?: unknown;
  readonly cooldown?: unknown;
  readonly 'grad-clip'?: unknown;
  readonly ema?: unknown;
  readonly dropout?: unknown;
  readonly prediction?: TrainerOptions['prediction'];
  readonly variance?: TrainerOptions['variance'];
  readonly loss?: TrainerOptions['loss'];
  readonly 'timesteps-sampling'?: TrainerOptions['timestepsSampling'];
  readonly crop?: unknown;
  readonly seed?: string;
  readonly resume: boolean;
  readonly 'validate-every'?: unknown;
  readonly 'checkpoint-every': unknown;
}

/** The given options, checked. */
export type Given = ReturnType<typeof checkNumbers>;

export function checkNumbers(args: TrainArgs) {
  const hours = positive('--hours', args.hours, 'hours');
  const options: Record<string, unknown> = {
    batch: integer('--batch', args.batch, 1, 65_536),
    optimizer: args.optimizer,
    learningRate: positive('--lr', args.lr, 'weight change per step'),
    warmup: integer('--warmup', args.warmup, 0),
    cooldown: share('--cooldown', args.cooldown, 1),
    gradientClip: share('--grad-clip', args['grad-clip'], Number.MAX_VALUE),
    ema: share('--ema', args.ema, 1),
    dropout: share('--dropout', args.dropout, 0.99),
    prediction: args.prediction,
    variance: args.variance,
    loss: args.loss,
    timestepsSampling: args['timesteps-sampling'],
    side: integer('--crop', args.crop, 1, MOST_TILE),
    seed: args.seed,
  };
  return {
    options: Object.fromEntries(
      Object.entries(options).filter(([, value]) => value !== undefined),
    ) as Partial<TrainerOptions>,
    steps: integer('--steps', args.steps, 1),
    seconds: hours === undefined ? undefined : hours * 3600,
    validateEvery: (positive('--validate-every', args['validate-every'], 'minutes') ?? 15) * 60,
    checkpointEvery: positive('--checkpoint-every', args['checkpoint-every'], 'minutes')! * 60,
  };
}

function share(name: string, value: unknown, most: number): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value >= 0 && value <= most) return value;
  throw invalidArgument(
    name,
    most === Number.MAX_VALUE ? 'a number of 0 or more' : `a number from 0 to ${most}`,
    value,
  );
}

/** @throws CodecError('usage') for an option whose value differs from the one that the run in `out` began with */
export function refuseChange(out: string, option: string, recorded: unknown, asked: unknown): never {
  throw new CodecError(
    'usage',
    `--resume: the run in ${out} has ${option} ${JSON.stringify(recorded)}, not ${JSON.stringify(asked)}; leave the option out, or begin anew with another --out`,
  );
}

/** Options that may change when a run is resumed: they do not change what is learnt. */
const CHANGEABLE = ['learningRate', 'warmup', 'cooldown', 'gradientClip', 'ema', 'dropout'] as const;

/** A recorded run, with the changes that are allowed. @throws CodecError('usage') for other changes */
export function takeUpOptions(
  record: RunRecord,
  { data, out }: Pick<TrainArgs, 'data' | 'out'>,
  given: Partial<TrainerOptions>,
): RunRecord {
  if (data && data.join() !== record.data.join()) refuseChange(out, 'data', record.data.join(' '), data.join(' '));
  for (const [name, value] of Object.entries(given)) {
    const recorded = record.options[name as keyof TrainerOptions];
    if (value !== recorded && !(CHANGEABLE as readonly string[]).includes(name)) {
      refuseChange(out, name, recorded, value);
    }
  }
  return { ...record, options: { ...record.options, ...given } };
}

/** Default side of crops of `--data`, in pixels. @param ofPictures default for pictures other than CIFAR-10 */
export async function defaultSide(data: readonly string[], ofPictures: number): Promise<number> {
  const { CIFAR10, parseSources } = await import('../../data/training-data.js');
  const { CIFAR10_SIDE } = await import('../../data/cifar10.js');
  return (await parseSources(data)).every(({ name }) => name === CIFAR10) ? CIFAR10_SIDE : ofPictures;
}

const LARGEST_MODEL_CROP = 96;

/** The same for training beside a model's network: the size of its window, up to a limit. */
export function defaultSideOf({ tiling }: ModelInfo, data: readonly string[]): Promise<number> {
  return defaultSide(data, Math.min(tiling.tile, LARGEST_MODEL_CROP));
}

/**
 * How far a run goes.
 * @param byDefault number of steps, where neither --steps nor --hours is given
 * @throws CodecError('usage') where there is no limit
 */
export function limitsOf({ steps, seconds }: Given, byDefault: number | undefined): RunLimits {
  const limits = { steps: steps ?? (seconds === undefined ? byDefault : undefined), seconds };
  if (limits.steps !== undefined || seconds !== undefined) return limits;
  throw new CodecError('usage', '--resume: say how far the whole run is to go, with --steps or --hours');
}

/**
 * @param modelId of the model that the run in `out` is for
 * @throws CodecError('model') where the given model is another
 */
export function refuseOtherModel(out: string, modelId: string, { id, name }: ModelInfo): void {
  if (id === modelId) return;
  throw new CodecError(
    'model',
    `--resume: the run in ${out} is for a model ${modelId.slice(0, 8)}, but ${name} is ${id.slice(0, 8)}; name it with --model, or begin anew with another --out`,
  );
}

/** Refuses to replace a model by one that is derived from it. @throws CodecError('usage') */
export async function refuseModel(directory: string, out: string): Promise<void> {
  const { WEIGHTS_FILE } = await import('../../node/models.js');
  await refuseInputs([join(out, WEIGHTS_FILE)], [join(directory, WEIGHTS_FILE)]);
}

/** The command line, for the model card. */
export function thisCommand(): string {
  return ['ddpm-codec', ...process.argv.slice(2).map(publicArgument)].join(' ');
}

/** An argument as the model card shows it: it documents how the model was made, without paths of this machine. */
function publicArgument(argument: string): string {
  return argument.replace(
    /^(--[^=]+=)?((?:\/|\.\.|[A-Za-z]:[\\/]).*)$/s,
    (_, option = '', path) => option + publicPath(path),
  );
}
