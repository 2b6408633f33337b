/** Checkpoints: the complete state of a run in one safetensors file, so that it can be resumed exactly. */
import { array, check, custom, exactOptional, type GenericSchema, optional, pipe, string } from 'valibot';
import { CodecError } from '../../common/errors.js';
import { checked, integerFrom, isObject, numberFrom, objectOf, oneOf, parseJson } from '../../common/foreign.js';
import { parseConfig } from '../config.js';
import { PREDICTIONS, VARIANCES } from '../parameterization.js';
import { readMetadata, readSafetensors, type Tensors, writeSafetensors } from '../safetensors.js';
import { MAX_TIMESTEPS } from '../schedule.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';
import { listUpdateParameters, type UpdateShape } from '../update.js';
import { MOST_TILE } from '../windows.js';
import { LOSSES } from './objective.js';
import { OPTIMIZERS } from './optimizer-name.js';
import { shared, type TrainerState, toTensors } from './state.js';
import { TIMESTEP_SAMPLINGS } from './timesteps.js';
import type { TrainerOptions } from './trainer.js';
import type { UpdateTrainerOptions } from './update-trainer.js';

/** The data of a run besides its weights. */
export interface RunRecord {
  /** `config.json` of the network, in diffusers' form. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly options: TrainerOptions;
  /** The training data, as given to `--data`. */
  readonly data: readonly string[];
  /** The command lines of all sessions, for the model card. */
  readonly commands: readonly string[];
  /** Seconds spent in training so far, over all sessions. */
  readonly seconds: number;
  /** The model that the first weights came from, and how much training that model had. */
  readonly startedFrom?: { readonly model: string; readonly images: number; readonly hours: number };
  /**
   * Where weights for a noise band are trained (`options.band`): the model that they are for, as given to `--model`,
   * and its id.
   */
  readonly bandOf?: { readonly model: string; readonly modelId: string };
}

/** The data of an update's training besides its weights. */
export interface UpdateRecord {
  /** The model that the update is for, as given to `--model`, and its id. */
  readonly model: string;
  readonly modelId: string;
  readonly shape: UpdateShape;
  readonly options: UpdateTrainerOptions;
  readonly data: readonly string[];
  readonly commands: readonly string[];
  readonly seconds: number;
}

export interface Checkpoint<R extends RunRecord | UpdateRecord = RunRecord> {
  readonly record: R;
  readonly state: TrainerState;
}

/** Keys of the records in a checkpoint. */
const RECORD = 'ddpm-codec.run';
const UPDATE_RECORD = 'ddpm-codec.update-run';
const VECTORS = ['parameters', 'ema', 'm', 'v'] as const;
const SAMPLER = 'sampler';
/** Limits of a run's options; more would not fit into any memory. */
const MOST_BATCH = 65_536;
const MOST_CHANNELS = 4096;
const MOST_DROPOUT = 0.99;

/** Serialises a checkpoint. */
export function serializeCheckpoint(
  { record, state }: Checkpoint<RunRecord | UpdateRecord>,
  parameters: readonly ParameterSpec[],
): Uint8Array {
  const tensors = VECTORS.flatMap((vector) =>
    [...toTensors(state[vector], parameters)].map(([name, tensor]) => [`${vector}/${name}`, tensor] as const),
  );
  const sampler = { shape: [state.sampler.length], data: state.sampler };
  const key = 'modelId' in record ? UPDATE_RECORD : RECORD;
  const metadata = { [key]: JSON.stringify({ ...record, step: state.step }) };
  return writeSafetensors(new Map([...tensors, [SAMPLER, sampler]]), { metadata });
}

/**
 * The inverse of {@link serializeCheckpoint}, for a network's training.
 * @throws CodecError('model') when it is not a checkpoint of a network's training, naming what is wrong
 */
export function parseCheckpoint(bytes: Uint8Array): Checkpoint {
  const metadata = readMetadata(bytes);
  if (UPDATE_RECORD in metadata) {
    throw new CodecError('model', "expected a network's training, got an update's; go on with it with `update`");
  }
  return parseRun(bytes, RECORD, RUN, ({ config }) => listParameters(parseConfig(config)));
}

/** The same for an update's training. */
export function parseUpdateCheckpoint(bytes: Uint8Array): Checkpoint<UpdateRecord> {
  const metadata = readMetadata(bytes);
  if (RECORD in metadata) {
    throw new CodecError('model', "expected an update's training, got a network's; go on with it without `update`");
  }
  return parseRun(bytes, UPDATE_RECORD, UPDATE_RUN, ({ shape }) => listUpdateParameters(shape));
}

function parseRun<R extends RunRecord | UpdateRecord>(
  bytes: Uint8Array,
  key: string,
  schema: GenericSchema<unknown, R & { step: number }>,
  parametersOf: (record: R) => readonly ParameterSpec[],
): Checkpoint<R> {
  const text = readMetadata(bytes)[key];
  if (text === undefined) throw new CodecError('model', 'not a checkpoint of ddpm-codec train');
  const json = parseJson('record of the run', new TextEncoder().encode(text));
  const { step, ...rest } = checked(schema, json, 'record of the run');
  const record = rest as unknown as R;
  const parameters = parametersOf(record);
  const tensors = readSafetensors(bytes);
  const [weights, ema, m, v] = VECTORS.map((vector) => joined(vector, parameters, tensors));
  const sampler = tensors.get(SAMPLER)?.data ?? new Float32Array(0);
  checkNumbers(SAMPLER, sampler);
  return { record, state: { step, parameters: shared(weights), ema, m, v, sampler } };
}

/** A vector of parameters, joined from its tensors. */
function joined(vector: string, parameters: readonly ParameterSpec[], tensors: Tensors): Float32Array {
  const parts = parameters.map(({ name, shape }) => {
    const stored = `${vector}/${name}`;
    const tensor = tensors.get(stored);
    if (!tensor || tensor.shape.join() !== shape.join()) {
      throw new CodecError(
        'model',
        `${stored}: expected shape [${shape}] for its network, got ${tensor ? `[${tensor.shape}]` : 'nothing'}`,
      );
    }
    checkNumbers(stored, tensor.data);
    return tensor.data;
  });
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function checkNumbers(name: string, values: Float32Array): void {
  if (!values.every(Number.isFinite)) throw new CodecError('model', `${name}: expected finite numbers`);
}

/** Fields of every run. */
const SESSIONS = { data: array(string()), commands: array(string()), seconds: numberFrom(0) };

/** Defaults apply to runs from before there was a choice of optimiser and a cool-down; they are what those runs used. */
const RUN = pipe(
  objectOf({
    step: integerFrom(0),
    config: custom<Record<string, unknown>>(isObject, 'an object'),
    options: objectOf({
      prediction: oneOf(PREDICTIONS),
      variance: oneOf(VARIANCES),
      loss: oneOf(LOSSES),
      batch: integerFrom(1, MOST_BATCH),
      side: integerFrom(1, MOST_TILE),
      optimizer: optional(oneOf(OPTIMIZERS), 'adam'),
      learningRate: numberFrom(0),
      warmup: integerFrom(0),
      cooldown: optional(numberFrom(0, 1), 0),
      gradientClip: numberFrom(0),
      ema: numberFrom(0, 1),
      dropout: numberFrom(0, MOST_DROPOUT),
      timestepsSampling: oneOf(TIMESTEP_SAMPLINGS),
      band: exactOptional(objectOf({ least: integerFrom(1, MAX_TIMESTEPS), most: integerFrom(1, MAX_TIMESTEPS) })),
      seed: string(),
    }),
    ...SESSIONS,
    startedFrom: exactOptional(objectOf({ model: string(), images: numberFrom(0), hours: numberFrom(0) })),
    bandOf: exactOptional(objectOf({ model: string(), modelId: string() })),
  }),
  check(
    ({ options, bandOf }) => (options.band === undefined) === (bandOf === undefined),
    'a band and the model that it is of, or neither',
  ),
);

const UPDATE_RUN = objectOf({
  step: integerFrom(0),
  model: string(),
  modelId: string(),
  shape: objectOf({
    features: integerFrom(1, MOST_CHANNELS),
    kept: integerFrom(1, MOST_CHANNELS),
    width: integerFrom(1, MOST_CHANNELS),
  }),
  options: objectOf({ batch: integerFrom(1, MOST_BATCH), side: integerFrom(1, MOST_TILE), seed: string() }),
  ...SESSIONS,
});
