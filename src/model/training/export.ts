/** Conversions between models and runs: the first weights of a run from a model, and a model's files from a run. */
import { CodecError } from '../../common/errors.js';
import type { HostTensor } from '../../engine/engine.js';
import type { UNetConfig } from '../config.js';
import { writeSafetensors } from '../safetensors.js';
import type { Schedule } from '../schedule.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';
import type { RunRecord } from './checkpoint.js';
import { type Grown, growWeights } from './growth.js';
import { stateFrom, type TrainerState, toTensors } from './state.js';

/** A model that a run starts from. */
export interface StartModel {
  readonly name: string;
  readonly config: UNetConfig;
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** Remarks of `ddpm-codec train` on the model's origin; other models have none. */
  readonly about: unknown;
}

/** A new run that starts with a model's weights. */
export interface Start {
  readonly record: RunRecord;
  readonly state: TrainerState;
  /** Number of parameters that come from the model. */
  readonly taken: number;
}

/**
 * The state of a new run whose weights are a model's.
 * @param grows whether the run may have another architecture, which then takes over the weights that fit
 *   ({@link growWeights})
 * @throws CodecError('model') when the model has another architecture, or this one cannot be grown from it
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

/** A model's weights, concatenated. */
export function allWeights({ config, tensors }: Pick<StartModel, 'config' | 'tensors'>): Grown {
  const weights = Float32Array.from(listParameters(config).flatMap(({ name }) => [...tensors.get(name)!.data]));
  return { weights, taken: weights.length };
}

/**
 * A weights file with a run's averaged weights in half precision. This halves the bytes. Calibration and coding then
 * use the model in the file, not the original weights.
 */
export function weightsFile(state: TrainerState, parameters: readonly ParameterSpec[]): Uint8Array {
  return writeSafetensors(toTensors(state.ema, parameters), { dtype: 'F16', metadata: { format: 'pt' } });
}
