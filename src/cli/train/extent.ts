/**
 * How much of a network to measure. A short training run gets fewer measurements, so that what follows training does
 * not take longer than training did. It counts crops instead of seconds, so that the same command makes the same model
 * on any machine.
 */
import { ENOUGH_IMAGES } from '../../codec/calibration.js';
import { counted } from '../../common/counted.js';
import type { TrainingData } from '../../data/training-data.js';
import { CALIBRATION_TILES, PROFILE_TILES } from './codec-file.js';

/**
 * Number of training crops from which on everything is measured in full: `small` sees them in ten minutes on two cores.
 */
const FULL_AFTER = 30_000;

/** Timesteps at which a validation evaluates each image, and number of steps for drawing samples. */
export const VALIDATION_STRATA = 10;
export const SAMPLE_STEPS = 50;

/** Smaller crops come from small pictures, and calibration uses more of them. */
const SMALL_SIDE = 64;
/**
 * Evaluations for calibrating on a window of an image, a fifth of them for the pyramid; crops of photographs have more
 * than one window.
 */
const CALIBRATION_EVALUATIONS = 52;
/** Evaluations that take as long as training on a crop: the backward pass takes twice as long as the forward pass. */
const EVALUATIONS_PER_CROP = 3;
/** Evaluations for measuring an update on a crop, and evaluations that take as long as training it on one. */
const GAIN_EVALUATIONS = 25;
const EVALUATIONS_PER_UPDATE = 2.5;
/** Evaluations for measuring the rate of a band on a crop, before and after. */
const BAND_EVALUATIONS = 16;

export interface Extent {
  /** Number of held-out crops for the bound. */
  readonly validation: number;
  /** Number of pictures drawn from the model. */
  readonly samples: number;
  /** Number of training crops for the profile, and their maximum width and height in windows. */
  readonly calibration: number;
  readonly calibrationTiles: number;
  /** Number of CIFAR-10 test images for the model card's bound; `bench/quality.mjs` uses all of them. */
  readonly test: number;
}

/**
 * @param trained number of crops that the network was trained on in this run
 * @param side of the crops, in pixels
 */
export function extentOf(trained: number, side: number): Extent {
  const part = (most: number, least: number) => Math.max(least, Math.round(most * Math.min(1, trained / FULL_AFTER)));
  return {
    validation: part(256, 4),
    samples: part(16, 1),
    calibration: part(side < SMALL_SIDE ? 160 : 64, ENOUGH_IMAGES),
    calibrationTiles: trained < FULL_AFTER / 4 ? 1 : CALIBRATION_TILES,
    test: part(1000, 16),
  };
}

/**
 * The crops for measuring an update or a band, and their description after a preposition.
 * @param trained number of crops that it was trained on
 */
export async function cropsToMeasureOn(data: TrainingData, trained: number) {
  const { crops, heldOut } = await data.validation(heldOutCrops(trained));
  return { crops, of: `${counted(crops.length, 'crop')} of ${heldOut ? 'held-out' : 'training'} pictures` };
}

function heldOutCrops(trained: number): number {
  return Math.max(4, Math.round(24 * Math.min(1, trained / FULL_AFTER)));
}

/** Cost of measuring an update, in training crops that would take as long. */
export function costOfGain(trained: number): number {
  return (heldOutCrops(trained) * GAIN_EVALUATIONS) / EVALUATIONS_PER_UPDATE;
}

/** Cost of measuring the rate of a band before and after training, in training crops that would take as long. */
export function costOfBandRate(trained: number): number {
  return (heldOutCrops(trained) * BAND_EVALUATIONS) / EVALUATIONS_PER_CROP;
}

/**
 * Approximate costs of a validation and of everything after training, in training crops that would take as long.
 * @param hasTest whether there is a test set
 */
export function costOf(extent: Extent, side: number, hasTest: boolean): { validation: number; finish: number } {
  const validation = extent.validation * (VALIDATION_STRATA + 1) + extent.samples * SAMPLE_STEPS;
  const windows = extent.calibration * (side < SMALL_SIDE ? 1 : Math.min(extent.calibrationTiles, PROFILE_TILES) ** 2);
  const test = hasTest ? extent.test * (VALIDATION_STRATA + 1) : 0;
  const finish = validation + windows * CALIBRATION_EVALUATIONS + test;
  return { validation: validation / EVALUATIONS_PER_CROP, finish: finish / EVALUATIONS_PER_CROP };
}
