/** From models to runs and back: the first weights of a run from a model, and a model's files from a run. */
import { CodecError } from '../../common/errors.js';
import type { HostTensor } from '../../engine/engine.js';
import type { UNetConfig } from '../config.js';
import { writeSafetensors } from '../safetensors.js';
import type { Schedule } from '../schedule.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';
import type { RunRecord } from './checkpoint.js';
import { type Grown, growWeights } from './growth.js';
import { stateFrom, type TrainerState, toTensors } from './state.js';

/** A model that a run begins with. */
export interface StartModel {
  readonly name: string;
  readonly config: UNetConfig;
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** What `ddpm-codec train` says of how it came about; other models do not say. */
  readonly about: unknown;
}

/** How a new run begins with a model's weights. */
export interface Start {
  readonly record: RunRecord;
  readonly state: TrainerState;
  /** How many of the parameters are the model's. */
  readonly taken: number;
}

/**
 * The state of a new run whose weights are a model's.
 * @param grows whether the run may be of another architecture, which then takes over what fits ({@link growWeights})
 * @throws CodecError('model') when the model is not of this architecture, or this one cannot be grown from it
 */
export function startFrom(
  model: StartModel,
  config: UNetConfig,
  record: RunRecord,
  schedule: Schedule,
  grows = false,
): Start {
  const isSame = JSON.stringify(model.config) === JSON.stringify(config);
  if (!isSame && !grows) {
    throw new CodecError('model', `model ${model.name}: its config.json is of another architecture than the run's`);
  }
  const { weights, taken } = isSame
    ? allWeights(model)
    : growWeights(model.config, model.tensors, config, record.options.seed);
  const { images = 0, hours = 0 } = (model.about ?? {}) as { images?: number; hours?: number };
  return {
    record: { ...record, startedFrom: { model: model.name, images, hours } },
    state: stateFrom(schedule, weights, record.options),
    taken,
  };
}

/** A model's weights, one after another. */
export function allWeights({ config, tensors }: Pick<StartModel, 'config' | 'tensors'>): Grown {
  const weights = Float32Array.from(listParameters(config).flatMap(({ name }) => [...tensors.get(name)!.data]));
  return { weights, taken: weights.length };
}

/**
 * A weights file of a run's averaged weights in half precision: half the bytes, and the model that is calibrated and
 * coded with is the one in the file.
 */
export function weightsFile(state: TrainerState, parameters: readonly ParameterSpec[]): Uint8Array {
  return writeSafetensors(toTensors(state.ema, parameters), { dtype: 'F16', metadata: { format: 'pt' } });
}
