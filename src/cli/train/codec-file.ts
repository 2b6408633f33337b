/**
 * Makes `codec.json`, which turns a network and its weights into a model that codes: the last part of three commands.
 */
import {
  calibrate,
  calibratePyramid,
  calibrateResiduals,
  calibrateSymmetry,
  ENOUGH_IMAGES,
} from '../../codec/calibration.js';
import { counted } from '../../common/counted.js';
import type { Engine } from '../../engine/engine.js';
import { cutMiddle } from '../../image/crop.js';
import type { RgbImage } from '../../image/image.js';
import type { DiffusionModel } from '../../model/diffusion-model.js';
import { withPyramid } from '../../model/pyramid.js';
import type { Diffusion } from '../../model/scheduler-config.js';
import type { Tiling } from '../../model/windows.js';
import { CODEC_FILE, type CodecConfig, openUncalibrated } from '../../node/models.js';
import type { Console } from '../console.js';
import { openProgress } from '../progress.js';

export interface CodecFileOptions {
  readonly console: Console;
  readonly engine: Engine;
  readonly tiling: Tiling;
  /** Default: from the directory's files, see {@link openUncalibrated}. */
  readonly diffusion?: Diffusion;
  /** Writes `codec.json` into the directory. */
  readonly write: (name: string, data: string) => Promise<void>;
}

/**
 * Maximum useful size of calibration pictures, in tiles a side: half and quarter of the size should still be pictures.
 */
export const CALIBRATION_TILES = 4;
/** Everything except the pyramid is measured on this many tiles a side, since larger pictures take time. */
export const PROFILE_TILES = 2;

/**
 * Measures a directory's pyramid, profile, symmetry and residuals on training pictures and writes `codec.json`.
 * @param images of at most `CALIBRATION_TILES` tiles a side
 * @param describe makes `about` of the model, from the open network and from what an earlier file said
 */
export async function makeCodecFile<About extends object>(
  directory: string,
  images: readonly RgbImage[],
  { console, engine, tiling, diffusion: given, write }: CodecFileOptions,
  describe: (model: DiffusionModel, earlier: object) => Promise<About> | About,
): Promise<About> {
  const model = await openUncalibrated(directory, engine, tiling, given);
  console.note(`calibrating ${directory} on ${engine.name}: ${engine.description}`);
  if (images.length < ENOUGH_IMAGES) {
    console.note(
      `calibrating on ${counted(images.length, 'picture')}: too few to see how pictures differ, which is assumed; ${ENOUGH_IMAGES} or more are better, best a hundred`,
    );
  }
  const progress = openProgress(console, 'calibrating');
  try {
    const part = (from: number, to: number) => ({
      onProgress: (fraction: number) => progress.update(from + (to - from) * fraction),
    });
    // At most: a picture within a single window has nothing farther away to see.
    const pyramid = await calibratePyramid(
      images.map((image) => cutMiddle(image, wholeWindows(CALIBRATION_TILES, tiling))),
      model,
      tiling.tile + 1,
      part(0, 0.25),
    );
    const denoiser = withPyramid(model.denoiser, model.schedule, pyramid);
    const halving = { ...model, denoiser };
    const middles = images.map((image) => cutMiddle(image, PROFILE_TILES * tiling.tile));
    const profile = await calibrate(middles, halving, part(0.25, 0.8));
    const symmetry = await calibrateSymmetry(middles, halving, part(0.8, 0.87));
    const residuals = await calibrateResiduals(middles, halving, part(0.87, 1));
    progress.stop();
    const about = await describe({ ...model, engine }, model.about);
    const codec: CodecConfig = {
      schedule: model.diffusion.schedule,
      tiling,
      parameterization: model.parameterization,
      ...(pyramid && { pyramid }),
      ...(symmetry && { symmetry }),
      profile,
      residuals,
      ...(model.bands && { bands: model.bands }),
      about,
    };
    await write(CODEC_FILE, `${JSON.stringify(codec)}\n`);
    return about;
  } finally {
    progress.stop();
    await model.denoiser.dispose();
  }
}

/** Pixels that this many full-size windows cover; nearly all windows of a large picture have full size. */
function wholeWindows(count: number, { tile, overlap }: Tiling): number {
  return count * (tile - overlap) + overlap;
}
