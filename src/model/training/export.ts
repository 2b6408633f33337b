/** From models to runs and back: the first weights of a run from a model, and a model's files from a run. */
import { CodecError } from '../../common/errors.js';
import type { HostTensor } from '../../engine/engine.js';
import type { UNetConfig } from '../config.js';
import { writeSafetensors } from '../safetensors.js';
import type { Schedule } from '../schedule.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';
import type { RunRecord } from './checkpoint.js';
import { stateFrom, type TrainerState, toTensors } from './state.js';

/** A model that a run begins with. */
export interface StartModel {
  readonly name: string;
  readonly config: UNetConfig;
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** What `ddpm-codec train` says of how it came about; other models do not say. */
  readonly about: unknown;
}

/**
 * The state of a new run whose weights are a model's.
 * @throws CodecError('model') when the model is not of this architecture
 */
export function startFrom(
  model: StartModel,
  config: UNetConfig,
  record: RunRecord,
  schedule: Schedule,
): { record: RunRecord; state: TrainerState } {
  if (JSON.stringify(model.config) !== JSON.stringify(config)) {
    throw new CodecError('model', `model ${model.name}: its config.json is of another architecture than the run's`);
  }
  const vector = Float32Array.from(listParameters(config).flatMap(({ name }) => [...model.tensors.get(name)!.data]));
  const { images = 0, hours = 0 } = (model.about ?? {}) as { images?: number; hours?: number };
  return {
    record: { ...record, startedFrom: { model: model.name, images, hours } },
    state: stateFrom(schedule, vector, record.options),
  };
}

/**
 * A weights file of a run's averaged weights in half precision: half the bytes, and the model that is calibrated and
 * coded with is the one in the file.
 */
export function weightsFile(state: TrainerState, parameters: readonly ParameterSpec[]): Uint8Array {
  return writeSafetensors(toTensors(state.ema, parameters), { dtype: 'F16', metadata: { format: 'pt' } });
}
