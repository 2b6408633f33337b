/** The default models, and when to use each. Other released models are there for their files. */
import { checkSides, type Size } from '../image/image.js';

/** Trained on photographs. */
export const PHOTO_MODEL = 'photo2';
/** Trained on pictures of 32x32, for pictures of about that size. From 40x40 pixels on, the other model's files are shorter. */
const SMALL_MODEL = 'cifar10';
const SMALL_MODEL_PIXELS = 40 * 40;
/** All models that {@link modelForSize} may choose. */
export const DEFAULT_MODELS: readonly string[] = [PHOTO_MODEL, SMALL_MODEL];

/** Name of the shipped model for a picture of this size: the one with the lower rates on such pictures. */
export function modelForSize(size: Size): string {
  checkSides(size);
  return size.width * size.height <= SMALL_MODEL_PIXELS ? SMALL_MODEL : PHOTO_MODEL;
}
