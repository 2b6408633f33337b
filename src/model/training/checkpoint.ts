/** Checkpoints: everything a run is, in one safetensors file, so that it goes on exactly. */
import { CodecError } from '../../common/errors.js';
import { parseConfig } from '../config.js';
import { readMetadata, readSafetensors, writeSafetensors } from '../safetensors.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';
import { shared, type TrainerState, toTensors } from './state.js';
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

/** The bytes of a checkpoint. */
export function serializeCheckpoint({ record, state }: Checkpoint, parameters: readonly ParameterSpec[]): Uint8Array {
  const tensors = VECTORS.flatMap((vector) =>
    [...toTensors(state[vector], parameters)].map(([name, tensor]) => [`${vector}/${name}`, tensor] as const),
  );
  const sampler = { shape: [state.sampler.length], data: state.sampler };
  const metadata = { [RECORD]: JSON.stringify({ ...record, step: state.step }) };
  return writeSafetensors(new Map([...tensors, [SAMPLER, sampler]]), { metadata });
}

/** The inverse of {@link serializeCheckpoint}. @throws CodecError('model') when it is not a checkpoint */
export function parseCheckpoint(bytes: Uint8Array): Checkpoint {
  const text = readMetadata(bytes)[RECORD];
  if (text === undefined) throw new CodecError('model', 'not a checkpoint of ddpm-codec train');
  const { step, ...stored } = JSON.parse(text) as RunRecord & { step: number };
  // Runs begun before there was a choice had these.
  const record = {
    ...stored,
    options: {
      ...stored.options,
      optimizer: stored.options.optimizer ?? 'adam',
      cooldown: stored.options.cooldown ?? 0,
    },
  };
  const tensors = readSafetensors(bytes);
  const parameters = listParameters(parseConfig(record.config));
  const join = (vector: string) => {
    const parts = parameters.map(({ name, shape }) => {
      const tensor = tensors.get(`${vector}/${name}`);
      if (!tensor || tensor.shape.join() !== shape.join()) {
        throw new CodecError(
          'model',
          `${vector}/${name}: expected shape [${shape}] for its network, got ${tensor ? `[${tensor.shape}]` : 'nothing'}`,
        );
      }
      return tensor.data;
    });
    const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
    let offset = 0;
    for (const part of parts) {
      whole.set(part, offset);
      offset += part.length;
    }
    return whole;
  };
  const [weights, ema, m, v] = VECTORS.map(join);
  const sampler = tensors.get(SAMPLER)?.data ?? new Float32Array(0);
  return { record, state: { step, parameters: shared(weights), ema, m, v, sampler } };
}
