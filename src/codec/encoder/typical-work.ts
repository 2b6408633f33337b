/** Predicts the work of coding a typical picture, before there is one: the mean of the pictures that the model was calibrated on. */
import type { Size } from '../../image/image.js';
import type { CodecModel } from '../model.js';
import { DEFAULT_TARGET_RMSE } from '../options.js';
import { ChainWork } from '../work.js';
import { stateBitsFor } from './encoder.js';
import { FilePlan } from './file-plan.js';
import { checkEncodeOptions } from './options.js';
import { paceFor } from './plan-choice.js';
import { EncodeProgress } from './progress.js';

/** In evaluations of the network on the whole picture. */
export interface TypicalWork {
  readonly encode: number;
  readonly decode: number;
}

/**
 * Measured seconds over those of the work below: four photographs of 768x512, default effort, two cores. They take 0.8 to 1.2 times the
 * seconds that follow. A mean of log errors is below the error of a mean photograph, and the encoder does more than its progress counts.
 */
const ENCODING = 1.6;
const DECODING = 1.4;
/** The middle of the detail that a header can state. */
const TYPICAL_DETAIL = 1;
/** RMSE of a picture of one colour, in grey levels; only that it is above any target matters. */
const BLANK_RMSE = 60;

/**
 * Predicts the work of a photograph up to the default RMSE.
 * @param effort 1..9
 */
export function typicalWork(model: CodecModel, { width, height }: Size, effort: number): TypicalWork {
  const targetRmse = DEFAULT_TARGET_RMSE;
  const stateBits = stateBitsFor(effort, { width, height });
  const picture = { width, height, detail: TYPICAL_DETAIL };
  const wish = { selection: 'greedy', effort, targetRmse, stateBits } as const;
  const choice = paceFor(picture, model, { first: 0, second: 0 }, wish);
  const nothing = { seed: 0, checksums: false, alphaPlane: new Uint8Array(), metadata: new Uint8Array() };
  const plan = new FilePlan(model, { ...picture, ...nothing, modelId: model.id, stateBits }, choice.parameters);
  const chain = { model, image: picture, detail: TYPICAL_DETAIL, stateBits, ...choice, networkEvaluations: 0 };
  const progress = new EncodeProgress(chain, checkEncodeOptions({ effort, targetRmse }, model.denoiser));
  const beginning = { steps: 0, rmse: BLANK_RMSE, heldSteps: [], isHeld: false, isExact: [true] };
  const [, encoding] = progress.workAt(plan, beginning);
  const { end } = progress.foretell(plan, beginning);
  const work = new ChainWork(model, picture, plan.steps);
  const decoding = work.through(end) + work.picture(end);
  return { encode: ENCODING * encoding, decode: DECODING * decoding };
}
