/** Checkpoints: everything a run is, in one safetensors file, so that it goes on exactly. */
import { array, custom, exactOptional, optional, string } from 'valibot';
import { CodecError } from '../../common/errors.js';
import { checked, integerFrom, isObject, numberFrom, objectOf, oneOf, parseJson } from '../../common/foreign.js';
import { parseConfig } from '../config.js';
import { PREDICTIONS, VARIANCES } from '../parameterization.js';
import { readMetadata, readSafetensors, type Tensors, writeSafetensors } from '../safetensors.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';
import { LOSSES } from './objective.js';
import { OPTIMIZERS } from './optimizer-name.js';
import { shared, type TrainerState, toTensors } from './state.js';
import { TIMESTEP_SAMPLINGS } from './timesteps.js';
import type { TrainerOptions } from './trainer.js';

/** What a run is besides its weights. */
export interface RunRecord {
  /** `config.json` of the network, as diffusers has it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly options: TrainerOptions;
  /** What it is trained on, as given to `--data`. */
  readonly data: readonly string[];
  /** The command lines of its sessions, for the model card. */
  readonly commands: readonly string[];
  /** Seconds spent in training so far, over all sessions. */
  readonly seconds: number;
  /** The model that its first weights came from, and what that had seen. */
  readonly startedFrom?: { readonly model: string; readonly images: number; readonly hours: number };
}

export interface Checkpoint {
  readonly record: RunRecord;
  readonly state: TrainerState;
}

const RECORD = 'ddpm-codec.run';
const VECTORS = ['parameters', 'ema', 'm', 'v'] as const;
const SAMPLER = 'sampler';
/** Of the options of a run; more would fit into no memory. */
const MOST_BATCH = 65_536;
const MOST_SIDE = 4096;
const MOST_DROPOUT = 0.99;

/** The bytes of a checkpoint. */
export function serializeCheckpoint({ record, state }: Checkpoint, parameters: readonly ParameterSpec[]): Uint8Array {
  const tensors = VECTORS.flatMap((vector) =>
    [...toTensors(state[vector], parameters)].map(([name, tensor]) => [`${vector}/${name}`, tensor] as const),
  );
  const sampler = { shape: [state.sampler.length], data: state.sampler };
  const metadata = { [RECORD]: JSON.stringify({ ...record, step: state.step }) };
  return writeSafetensors(new Map([...tensors, [SAMPLER, sampler]]), { metadata });
}

/** The inverse of {@link serializeCheckpoint}. @throws CodecError('model') when it is not a checkpoint, naming what is wrong */
export function parseCheckpoint(bytes: Uint8Array): Checkpoint {
  const text = readMetadata(bytes)[RECORD];
  if (text === undefined) throw new CodecError('model', 'not a checkpoint of ddpm-codec train');
  const { step, ...record } = checked(
    RUN,
    parseJson('record of the run', new TextEncoder().encode(text)),
    'record of the run',
  );
  const parameters = listParameters(parseConfig(record.config));
  const tensors = readSafetensors(bytes);
  const [weights, ema, m, v] = VECTORS.map((vector) => joined(vector, parameters, tensors));
  const sampler = tensors.get(SAMPLER)?.data ?? new Float32Array(0);
  checkNumbers(SAMPLER, sampler);
  return { record, state: { step, parameters: shared(weights), ema, m, v, sampler } };
}

/** A vector of parameters, put together from its tensors. */
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

/** Runs begun before there was a choice of optimiser, and a cool-down, had the ones that are taken for them. */
const RUN = objectOf({
  step: integerFrom(0),
  config: custom<Record<string, unknown>>(isObject, 'an object'),
  options: objectOf({
    prediction: oneOf(PREDICTIONS),
    variance: oneOf(VARIANCES),
    loss: oneOf(LOSSES),
    batch: integerFrom(1, MOST_BATCH),
    side: integerFrom(1, MOST_SIDE),
    optimizer: optional(oneOf(OPTIMIZERS), 'adam'),
    learningRate: numberFrom(0),
    warmup: integerFrom(0),
    cooldown: optional(numberFrom(0, 1), 0),
    gradientClip: numberFrom(0),
    ema: numberFrom(0, 1),
    dropout: numberFrom(0, MOST_DROPOUT),
    timestepsSampling: oneOf(TIMESTEP_SAMPLINGS),
    seed: string(),
  }),
  data: array(string()),
  commands: array(string()),
  seconds: numberFrom(0),
  startedFrom: exactOptional(objectOf({ model: string(), images: numberFrom(0), hours: numberFrom(0) })),
});
