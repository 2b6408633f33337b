/** Complexity of decoding, in the unit that papers use. */
import { readLayout } from '../codec/format/layout.js';
import type { Model } from '../codec/model.js';
import { evaluationMultiplyAdds, updateMultiplyAdds } from '../model/multiply-adds.js';
import { placeAsked, workAt } from '../model/pyramid.js';
import { estimatesShown } from '../model/symmetry.js';

/**
 * Thousands of multiply-adds per pixel (kMAC/pixel) for decoding a whole file without a tail. It counts the network and
 * its updates over all steps, and the network for the final picture, twice where the model has a symmetry. It does not
 * count looking up codewords.
 * @returns 0 for a file without steps
 */
export function decodingKmac(bytes: Uint8Array, model: Model): number {
  const { header, written } = readLayout(bytes, model);
  const { pyramid, symmetry, schedule, config, tiling, updateShape: update } = model;
  const place = (t: number) => ({ width: header.width, height: header.height, detail: header.detail, t });
  const evaluation = evaluationMultiplyAdds(config, header, tiling, update);
  let sum = 0;
  // The place where the network last ran in full: updates start from it, at its size.
  let asked = place(schedule.timesteps);
  for (const { s, asks } of written.slice(0, -1)) {
    if (asks || update === undefined) {
      asked = place(s);
      sum += evaluation * workAt(pyramid, schedule, asked);
    } else {
      sum += updateMultiplyAdds(update, placeAsked(pyramid, schedule, asked).place);
    }
  }
  const last = written.at(-1);
  const shown = estimatesShown(symmetry) * evaluation;
  if (last !== undefined) sum += shown * workAt(pyramid, schedule, place(last.s), true);
  return sum / (header.width * header.height) / 1000;
}
