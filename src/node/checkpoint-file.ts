/**
 * Checkpoints of training runs on disk. A new checkpoint is written beside the old one and takes its name when it is
 * complete and on disk, so there is always a complete one.
 */
import { CodecError } from '../common/errors.js';
import {
  type Checkpoint,
  parseCheckpoint,
  parseUpdateCheckpoint,
  type RunRecord,
  serializeCheckpoint,
  type UpdateRecord,
} from '../model/training/checkpoint.js';
import type { ParameterSpec } from '../model/unet-parameters.js';
import { reasonOf } from './files.js';
import { readRegularFile } from './read.js';
import { writeWhole } from './write.js';

/** @throws CodecError('file') when it cannot be written; an earlier one at `path` then stays */
export async function writeCheckpoint(
  path: string,
  checkpoint: Checkpoint<RunRecord | UpdateRecord>,
  parameters: readonly ParameterSpec[],
): Promise<void> {
  await writeWhole(path, serializeCheckpoint(checkpoint, parameters), { replace: true }).catch((cause: unknown) => {
    throw new CodecError('file', `${path}: cannot write the checkpoint: ${reasonOf(cause)}`, { cause });
  });
}

/** @throws CodecError('file') when it cannot be read, 'model' when it is not a checkpoint of a network's training */
export function readCheckpoint(path: string): Promise<Checkpoint> {
  return readAs(path, parseCheckpoint);
}

/** The same for an update's training. */
export function readUpdateCheckpoint(path: string): Promise<Checkpoint<UpdateRecord>> {
  return readAs(path, parseUpdateCheckpoint);
}

async function readAs<C>(path: string, parse: (bytes: Uint8Array) => C): Promise<C> {
  const bytes = await readRegularFile(path);
  try {
    return parse(bytes);
  } catch (cause) {
    if (!(cause instanceof CodecError)) throw cause;
    throw new CodecError(cause.code, `${path}: ${cause.message}`, { cause });
  }
}
