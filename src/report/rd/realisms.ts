/** With which realisms the files of a run are decoded. */
import { invalidArgument } from '../../common/errors.js';

/** More curves of a file than anybody can tell apart. */
export const MOST_REALISMS = 20;

/**
 * Numbers from 0 to 1 with commas between.
 * @param option for messages
 * @throws CodecError('usage') for anything else, and for one that is there twice
 */
export function parseRealisms(option: string, text: string): number[] {
  const parts = text.split(',').map((part) => part.trim());
  const values = parts.map((part) => (/^\d*\.?\d+$/.test(part) ? Number(part) : Number.NaN));
  const isRight = values.every((value) => value >= 0 && value <= 1) && new Set(values).size === values.length;
  if (isRight && values.length <= MOST_REALISMS) return values;
  throw invalidArgument(option, `numbers from 0 to 1 with commas between, each once, at most ${MOST_REALISMS}`, text);
}
