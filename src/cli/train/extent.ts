/**
 * How much of a network is measured: less of one that was trained for a short time, so that what follows training does not take longer
 * than training did. By crops and not by the clock, so that the same command makes the same model on any machine.
 */
import { ENOUGH_IMAGES } from '../../codec/calibration.js';
import { counted } from '../../common/counted.js';
import type { TrainingData } from '../../data/training-data.js';
import { CALIBRATION_TILES, PROFILE_TILES } from './codec-file.js';

/** Crops trained on from which on everything is measured in full: `small` sees them in ten minutes of two cores. */
const FULL_AFTER = 30_000;

/** Timesteps at which each image of a validation is evaluated, and steps in which samples are drawn. */
export const VALIDATION_STRATA = 10;
export const SAMPLE_STEPS = 50;

/** Crops smaller than so much are of small pictures, of which calibration takes more. */
const SMALL_SIDE = 64;
/** Evaluations that calibrating on a window of an image takes, a fifth of them for the pyramid; of photographs there is more than one in a crop. */
const CALIBRATION_EVALUATIONS = 50;
/** Evaluations that take as long as training on a crop: backward takes twice as long as forward. */
const EVALUATIONS_PER_CROP = 3;
/** Evaluations that measuring an update takes on a crop, and that take as long as training it on one. */
const GAIN_EVALUATIONS = 25;
const EVALUATIONS_PER_UPDATE = 1.7;
/** Evaluations that measuring the rate of a band before and after takes on a crop. */
const BAND_EVALUATIONS = 16;

export interface Extent {
  /** Held-out crops that the bound is measured on. */
  readonly validation: number;
  /** Pictures drawn from the model. */
  readonly samples: number;
  /** Training crops that the profile is measured on, and how many windows wide and high they are at most. */
  readonly calibration: number;
  readonly calibrationTiles: number;
  /** CIFAR-10 test images that the model card's bound is measured on; `bench/quality.mjs` takes all of them. */
  readonly test: number;
}

/**
 * @param trained crops that the network was trained on in this run
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

/** What an update, or a band, is measured on, and its name after a preposition. @param trained crops that it was trained on */
export async function cropsToMeasureOn(data: TrainingData, trained: number) {
  const { crops, heldOut } = await data.validation(heldOutCrops(trained));
  return { crops, of: `${counted(crops.length, 'crop')} of ${heldOut ? 'held-out' : 'training'} pictures` };
}

function heldOutCrops(trained: number): number {
  return Math.max(4, Math.round(24 * Math.min(1, trained / FULL_AFTER)));
}

/** What that takes, in crops that could be trained on meanwhile. */
export function costOfGain(trained: number): number {
  return (heldOutCrops(trained) * GAIN_EVALUATIONS) / EVALUATIONS_PER_UPDATE;
}

/** What measuring the rate of a band before and after training on it takes, likewise. */
export function costOfBandRate(trained: number): number {
  return (heldOutCrops(trained) * BAND_EVALUATIONS) / EVALUATIONS_PER_CROP;
}

/**
 * What a validation and all that follows training cost, about, in crops that could be trained on meanwhile.
 * @param hasTest whether there is a test set
 */
export function costOf(extent: Extent, side: number, hasTest: boolean): { validation: number; finish: number } {
  const validation = extent.validation * (VALIDATION_STRATA + 1) + extent.samples * SAMPLE_STEPS;
  const windows = extent.calibration * (side < SMALL_SIDE ? 1 : Math.min(extent.calibrationTiles, PROFILE_TILES) ** 2);
  const test = hasTest ? extent.test * (VALIDATION_STRATA + 1) : 0;
  const finish = validation + windows * CALIBRATION_EVALUATIONS + test;
  return { validation: validation / EVALUATIONS_PER_CROP, finish: finish / EVALUATIONS_PER_CROP };
}
