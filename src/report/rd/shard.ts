/** Which part of a set of images this process takes: from `--shard`, or from a cluster's scheduler. */
import { CodecError, invalidArgument } from '../../common/errors.js';

/** One of `count` parts; image i belongs to part i mod count. */
export interface Shard {
  /** 0..count-1. */
  readonly index: number;
  readonly count: number;
}

/** A part, and where the choice came from. */
export interface ChosenShard extends Shard {
  readonly from: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The part that this process takes; undefined for all images. In order of precedence:
 *
 * 1. `--shard I/N`, I from 1 to N; `1/1` means all, whatever the environment says.
 * 2. A SLURM array: SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT, with SLURM_ARRAY_TASK_MIN where it is not 0.
 * 3. An indexed Job of Kubernetes: JOB_COMPLETION_INDEX, from 0, and JOB_COMPLETION_COUNT. The Job's author sets the
 *    latter to the Job's `completions`, since Kubernetes does not.
 * @throws CodecError `usage` for values of any other form, and values that contradict each other
 */
export function chooseShard(option: string | undefined, environment: Environment): ChosenShard | undefined {
  if (option !== undefined) return { ...parseShard(option), from: '--shard' };
  if (environment.SLURM_ARRAY_TASK_ID !== undefined) {
    const count = numberIn(environment, 'SLURM_ARRAY_TASK_COUNT');
    const first = environment.SLURM_ARRAY_TASK_MIN === undefined ? 0 : numberIn(environment, 'SLURM_ARRAY_TASK_MIN');
    return inRange(environment, 'SLURM_ARRAY_TASK_ID', first, count);
  }
  if (environment.JOB_COMPLETION_INDEX !== undefined) {
    return inRange(environment, 'JOB_COMPLETION_INDEX', 0, numberIn(environment, 'JOB_COMPLETION_COUNT'));
  }
  return undefined;
}

/** @throws CodecError `usage` when it is not I/N with 1 <= I <= N */
export function parseShard(text: string): Shard {
  const [, index, count] = (/^(\d+)\/(\d+)$/.exec(text) ?? []).map(Number);
  if (!(index >= 1 && index <= count)) {
    throw invalidArgument('`shard`', 'I/N with I from 1 to N, such as 1/4 for the first of four parts', text);
  }
  return { index: index - 1, count };
}

/** The images of a part, in order. */
export function imagesOfShard(total: number, shard: Shard | undefined): number[] {
  const all = Array.from({ length: total }, (_, i) => i);
  return shard === undefined ? all : all.filter((i) => i % shard.count === shard.index);
}

function inRange(environment: Environment, name: string, first: number, count: number): ChosenShard {
  const index = numberIn(environment, name) - first;
  if (!(count >= 1 && index >= 0 && index < count)) {
    throw new CodecError(
      'usage',
      `${name}=${environment[name]}: expected one of ${count} numbers without gaps, from ${first} to ${first + count - 1}; or name the part with \`shard\` I/N`,
    );
  }
  return { index, count, from: name };
}

function numberIn(environment: Environment, name: string): number {
  const text = environment[name];
  if (text !== undefined && /^\d+$/.test(text)) return Number(text);
  const found = text === undefined ? 'it is not set' : `got ${JSON.stringify(text)}`;
  throw new CodecError(
    'usage',
    `${name}: expected a number, the part of the images to take, but ${found}; set it, or use \`shard\` I/N`,
  );
}
