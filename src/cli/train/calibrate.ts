/** `ddpm-codec calibrate`: makes a diffusers model directory usable by measuring its profile on training pictures. */
import { join } from 'node:path';
import type { Arguments, CommandModule } from 'yargs';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import { cutMiddle } from '../../image/crop.js';
import type { RgbImage } from '../../image/image.js';
import { isDirectory } from '../../node/files.js';
import { GIVE_COLOUR, opaque, READABLE_EXTENSIONS, readImage } from '../../node/image/read.js';
import { type EngineArgs, engineOptions, integer, numberOption, type OutputArgs, outputOptions } from '../args.js';
import { openConsole } from '../console.js';
import { withContext } from '../context.js';
import { planJobs } from '../jobs.js';
import { checkWritable, writeAtomically } from '../output.js';

interface CalibrateArgs extends EngineArgs, OutputArgs {
  readonly model: string;
  readonly inputs: string[];
  readonly tile: unknown;
  readonly overlap: unknown;
}

/** Windows of a directory that has not been calibrated before, in pixels. */
const DEFAULT_TILING = { tile: 64, overlap: 8 };

export const calibrateCommand: CommandModule<object, CalibrateArgs> = {
  command: 'calibrate <model> <inputs..>',
  describe: 'Prepare a UNet2DModel directory (diffusers) for coding',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 calibrate <model> <inputs..> [options]\n\n' +
          'Prepares a directory with config.json and diffusion_pytorch_model.safetensors, as diffusers saves an\n' +
          'unconditional UNet2DModel, for coding: measures how well it denoises training pictures and writes\n' +
          'codec.json beside them. Use a hundred or more pictures of the kind you will code, cut to their middle;\n' +
          'never ones you will report results on. The schedule is that of scheduler_config.json, or without that file\n' +
          "the paper's: T = 1000, beta from 1e-4 to 0.02. Weights for a band of timesteps may lie beside the others, as\n" +
          'band-4-60.safetensors.',
      )
      .positional('model', { type: 'string', description: 'Model directory' })
      .positional('inputs', { type: 'string', array: true, description: 'Training pictures, or directories of them' })
      .options({
        tile: numberOption('Side of the windows the network sees, in pixels [default: as before, else 64]'),
        overlap: numberOption('Overlap of neighbouring windows, in pixels [default: as before, else 8]'),
        ...engineOptions,
        ...outputOptions,
      } as const)
      .example('$0 calibrate ddpm-cifar10-32/ cifar-train/', 'write ddpm-cifar10-32/codec.json') as never,
  handler: calibrateModel,
};

async function calibrateModel(args: Arguments<CalibrateArgs>): Promise<void> {
  const console = openConsole(args);
  const given = { tile: integer('--tile', args.tile, 8), overlap: integer('--overlap', args.overlap, 0) };
  const { CODEC_FILE, readEarlier } = await import('../../node/models.js');
  if (!(await isDirectory(args.model))) {
    throw new CodecError('file', `${args.model}: expected a model directory, there is none of this name`);
  }
  const output = join(args.model, CODEC_FILE);
  await checkWritable(output, args);
  const { tiling: before = DEFAULT_TILING } = await readEarlier(args.model);
  const tiling = { tile: given.tile ?? before.tile, overlap: given.overlap ?? before.overlap };
  if (2 * tiling.overlap > tiling.tile) {
    throw new CodecError('usage', `--overlap: expected at most half of --tile (${tiling.tile}), got ${tiling.overlap}`);
  }
  const { CALIBRATION_TILES, makeCodecFile } = await import('./codec-file.js');
  const images = await readTrainingPictures(args.inputs, CALIBRATION_TILES * tiling.tile);
  await withContext(args, console, async (context) => {
    const engine = await context.engine();
    const write = (name: string, data: string) => writeAtomically(join(args.model, name), Buffer.from(data), args);
    await makeCodecFile(args.model, images, { console, engine, tiling, write }, (_, earlier) => ({
      ...earlier,
      calibration: counted(images.length, 'picture'),
    }));
    console.document({ output, images: images.length, engine: engine.name });
    console.result(`${output}: profile from ${counted(images.length, 'picture')}`);
  });
}

/**
 * Reads pictures to calibrate on.
 * @param inputs files and directories
 * @param most pixels a side; larger pictures are cropped to their middle
 * @throws CodecError `file` when there are none, as {@link readImage}, and `image` for transparent pictures and those
 *   of known test sets
 */
export async function readTrainingPictures(inputs: readonly string[], most: number): Promise<RgbImage[]> {
  const { jobs } = await planJobs(inputs, {
    extensions: [...READABLE_EXTENSIONS],
    kind: 'pictures',
    outputName: (name) => `${name}.unused`,
  });
  const { testPictureOf } = await import('../../data/test-pictures.js');
  const images: RgbImage[] = [];
  for (const { input } of jobs) {
    const image = opaque(await readImage(input), input, GIVE_COLOUR);
    const known = testPictureOf(image);
    if (known !== undefined) {
      throw new CodecError('image', `${input}: ${known}, on which results are reported; calibrate on other pictures`);
    }
    images.push(cutMiddle(image, most));
  }
  return images;
}
