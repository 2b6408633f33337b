/** From models to runs and back: the first weights of a run from a model, and a model's files from a run. */
import { join } from 'node:path';
import { CodecError } from '../../common/errors.js';
import { loadWeights } from '../../node/models.js';
import type { UNetConfig } from '../config.js';
import { writeSafetensors } from '../safetensors.js';
import type { Schedule } from '../schedule.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';
import type { RunRecord } from './checkpoint.js';
import { stateFrom, type TrainerState, toTensors } from './state.js';

/**
 * The state of a new run whose weights are a model's.
 * @throws CodecError('model') when the model is not of this architecture
 */
export async function loadStart(
  nameOrDirectory: string,
  config: UNetConfig,
  record: RunRecord,
  schedule: Schedule,
): Promise<{ record: RunRecord; state: TrainerState }> {
  const model = await loadWeights(nameOrDirectory);
  if (JSON.stringify(model.config) !== JSON.stringify(config)) {
    throw new CodecError(
      'model',
      `--from ${nameOrDirectory}: its config.json is of another architecture; give it as --config, too: --config ${join(model.directory, 'config.json')}`,
    );
  }
  const vector = Float32Array.from(listParameters(config).flatMap(({ name }) => [...model.tensors.get(name)!.data]));
  // As `ddpm-codec train` leaves them; other models do not say.
  const { images = 0, hours = 0 } = (model.about ?? {}) as { images?: number; hours?: number };
  return {
    record: { ...record, startedFrom: { model: model.name, images, hours } },
    state: stateFrom(schedule, vector, record.options.timestepsSampling),
  };
}

/**
 * A weights file of a run's averaged weights in half precision: half the bytes, and the model that is calibrated and
 * coded with is the one in the file.
 */
export function weightsFile(state: TrainerState, parameters: readonly ParameterSpec[]): Uint8Array {
  return writeSafetensors(toTensors(state.ema, parameters), { dtype: 'F16', metadata: { format: 'pt' } });
}
