/** `ddpm-codec verify`: checks whether a .ddc file is complete, decodes, and shows the right picture. */
import type { Arguments, CommandModule } from 'yargs';
import { decode } from '../../codec/decoder/decode.js';
import { checkSize } from '../../codec/decoder/decoder.js';
import { readInfo } from '../../codec/format/info.js';
import { DECODE_OPTIONS } from '../../codec/options.js';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import { flatten } from '../../image/alpha.js';
import type { RgbImage } from '../../image/image.js';
import { opaque, parseColour } from '../../node/image/read.js';
import { type RatePoint, ratePoint } from '../../report/rate-point.js';
import {
  backgroundOption,
  type EngineArgs,
  engineOptions,
  modelOfFileOption,
  notNegative,
  numberOption,
  type OutputArgs,
  outputOptions,
} from '../args.js';
import { type Console, formatSeconds, openConsole, table } from '../console.js';
import { withContext } from '../context.js';
import { aboutFile } from '../jobs.js';
import { flagsFor, readFlags } from '../options.js';
import { readPicture } from '../pictures.js';
import { openProgress } from '../progress.js';
import { describeSteps } from '../steps.js';
import { inputName, readInput, STANDARD_STREAM } from '../streams.js';
import { faultsAtEnd, otherPrecision } from './remarks.js';

interface VerifyArgs extends EngineArgs, Omit<OutputArgs, 'force'> {
  readonly file: string;
  readonly against?: string;
  readonly background?: string;
  readonly 'max-rmse'?: unknown;
  readonly model?: string;
}

/** The options of `decode` that apply here. */
const OPTIONS = { maxPixels: DECODE_OPTIONS.maxPixels };

/** What `--json` prints; of a file that cannot be decoded what is known of it, and the reason as its only problem. */
export interface VerifyReport {
  readonly input: string;
  readonly width: number;
  readonly height: number;
  /** Length of the file. */
  readonly bytes: number;
  /**
   * Length with everything that the encoder wrote; null for a lossless file that is truncated before the place that
   * tells it.
   */
  readonly bytesWhenComplete: number | null;
  readonly complete: boolean;
  /** The checksum confirms that the picture is the encoder's, to the bit. */
  readonly lossless: boolean;
  /** The steps have checksums. Without them, damage in the steps goes unnoticed. */
  readonly checksums: boolean;
  /** Bytes after the end, which are ignored. */
  readonly trailingBytes: number;
  /** The metadata at the end differ from those that were written. */
  readonly metadataDamaged: boolean;
  readonly stepsUsed: number;
  readonly stepsTotal: number;
  /** Timestep reached. */
  readonly t: number;
  /** State of the alpha plane: `missing` where the file ends inside it; `none` in a file without one. */
  readonly alpha: 'none' | 'missing' | 'whole';
  /**
   * How far the decoded picture is from the original, at the rate of the decoded bytes, and how many pixels differ in
   * opacity; null without an original.
   */
  readonly against: (RatePoint & { readonly original: string; readonly pixelsOfOtherAlpha: number }) | null;
  /** Problems found; empty for a file that passes. */
  readonly problems: readonly string[];
  readonly seconds: number;
  readonly engine: string;
  readonly model: { readonly name: string; readonly id: string };
}

export const verifyCommand: CommandModule<object, VerifyArgs> = {
  command: 'verify <file>',
  describe: 'Check that a .ddc file is whole and decodes, and how near its picture is',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 verify <file> [--against <picture>] [options]\n\n' +
          'Decodes a .ddc file, writes nothing, and reports. Exit code 0 when the file holds all that its encoder wrote,\n' +
          'nothing more, and decodes; 1 when it is cut off (it still decodes, at a lower quality), has bytes after its end, is\n' +
          'damaged (its metadata, too), or is farther from the picture than --max-rmse. Damage in the steps shows only in a\n' +
          'file with checksums (encode --checksums), or beside the picture (--against).',
      )
      .positional('file', { type: 'string', description: 'A .ddc file; - for standard input' })
      .options({
        against: {
          type: 'string',
          requiresArg: true,
          description: 'The original picture, to measure the distance from; - for standard input',
        },
        background: {
          ...backgroundOption,
          description:
            'Compare as it looks over this colour, such as white or #336699: what was encoded with it, or is transparent',
        },
        'max-rmse': numberOption('Largest RMSE from it that passes, in grey levels (0-255)'),
        model: modelOfFileOption,
        ...flagsFor(OPTIONS),
        ...engineOptions,
        json: outputOptions.json,
        quiet: outputOptions.quiet,
      } as const)
      .example('$0 verify photo.ddc', 'is it whole, and does it decode here?')
      .example('$0 verify photo.ddc --against photo.png --max-rmse 3.1', 'is it as good as it was made?') as never,
  handler: verify,
};

async function verify(args: Arguments<VerifyArgs>): Promise<void> {
  const console = openConsole(args);
  const maxRmse = notNegative('--max-rmse', args['max-rmse'], 'grey levels');
  const options = readFlags(OPTIONS, args);
  if (maxRmse !== undefined && args.against === undefined) {
    throw new CodecError('usage', '--max-rmse: expected --against with it, the picture to measure from');
  }
  const { file, against, background } = args;
  const colour = background === undefined ? undefined : await parseColour(background);
  if (background !== undefined && against === undefined) {
    throw new CodecError('usage', '--background: expected --against with it, a picture with transparent pixels');
  }
  if (file === STANDARD_STREAM && against === STANDARD_STREAM) {
    throw new CodecError('usage', '--against: standard input is the file to verify; expected the name of a picture');
  }
  const bytes = await readInput(file);
  const name = inputName(file);
  const known: Partial<VerifyReport> = { input: file, bytes: bytes.length };
  const examine = <R>(work: () => R | Promise<R>) => aboutFile(name, () => documenting(work, known, console));
  const header = await examine(() => readInfo(bytes));
  Object.assign(known, { width: header.width, height: header.height, checksums: header.checksums });
  await examine(() => checkSize(header, options.maxPixels));
  const original = against === undefined ? undefined : await readPicture(against, { background });
  if (original && !(original.width === header.width && original.height === header.height)) {
    const sizes = `${header.width}x${header.height} pixels as ${name} has, got ${original.width}x${original.height}`;
    throw new CodecError('image', `${inputName(against!)}: expected ${sizes}`);
  }
  if (original && !header.alpha) opaque(original, inputName(against!));
  await withContext(args, console, async (context) => {
    const { model, engine } = await aboutFile(name, () => context.modelOfFile(header, args.model));
    context.announce(model, engine);
    const { bytesWhenComplete = null } = await examine(() => readInfo(bytes, model));
    Object.assign(known, { bytesWhenComplete, engine: engine.name, model: { name: model.name, id: model.id } });
    const progress = openProgress(console, name);
    const start = performance.now();
    const onProgress = (fraction: number) => progress.update(fraction);
    const decoding = examine(() => decode(bytes, model, { ...options, onProgress }));
    const result = await decoding.finally(() => progress.stop());
    const decoded = colour ? flatten(result.image, colour) : result.image;
    const measured = original && {
      original: against!,
      ...ratePoint(original, decoded, result.bytesUsed),
      pixelsOfOtherAlpha: result.alpha === 'missing' ? 0 : differentAlpha(original, decoded),
    };
    const problems = [
      ...(result.complete ? [] : [`cut off: ${bytes.length} of ${bytesWhenComplete ?? 'more'} bytes`]),
      ...faultsAtEnd(result),
      ...(measured === undefined || measured.rmse <= (maxRmse ?? Infinity)
        ? []
        : [`RMSE ${measured.rmse.toFixed(3)} from ${inputName(against!)}, expected at most ${maxRmse}`]),
      ...(measured === undefined || measured.pixelsOfOtherAlpha === 0
        ? []
        : [`${counted(measured.pixelsOfOtherAlpha, 'pixel')} not as opaque as in ${inputName(against!)}`]),
    ];
    const report: VerifyReport = {
      input: args.file,
      width: header.width,
      height: header.height,
      bytes: bytes.length,
      bytesWhenComplete,
      complete: result.complete,
      lossless: result.lossless,
      checksums: header.checksums,
      trailingBytes: result.trailingBytes,
      metadataDamaged: result.metadataDamaged,
      stepsUsed: result.stepsUsed,
      stepsTotal: result.stepsTotal,
      t: result.t,
      alpha: result.alpha,
      against: measured ?? null,
      problems,
      seconds: (performance.now() - start) / 1000,
      engine: engine.name,
      model: { name: model.name, id: model.id },
    };
    for (const remark of otherPrecision(result, engine)) console.note(`${name}: ${remark}`);
    console.document(report);
    console.answer(describe(report));
    if (problems.length > 0) throw new CodecError('format', `${name}: ${problems.join('; ')}`);
  });
}

/** Does something with a file. Where the file is malformed, the document is what is known of it, with the reason. */
async function documenting<R>(work: () => R | Promise<R>, known: Partial<VerifyReport>, console: Console): Promise<R> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CodecError && error.code === 'format') {
      console.document({ ...known, problems: [console.wordsFor(error)] });
    }
    throw error;
  }
}

/** Number of pixels whose opacity differs between two pictures of one size. */
function differentAlpha(a: RgbImage, b: RgbImage): number {
  if (a.alpha === undefined && b.alpha === undefined) return 0;
  let count = 0;
  for (let i = 0; i < a.width * a.height; i++) if ((a.alpha?.[i] ?? 255) !== (b.alpha?.[i] ?? 255)) count++;
  return count;
}

function describe(report: VerifyReport): string[] {
  const { stepsUsed, stepsTotal, against } = report;
  const fields: [string, string][] = [
    ['file', inputName(report.input)],
    ['picture', `${report.width} x ${report.height}`],
    ['decodes', `with model ${report.model.name} on ${report.engine}, ${formatSeconds(report.seconds)}`],
    [
      'size',
      `${report.bytes} bytes, ${describeSteps(stepsUsed, stepsTotal)}${report.complete ? ', whole' : ''}${report.lossless ? ', lossless by its checksum' : ''}`,
    ],
  ];
  if (!report.checksums && !report.lossless && against === null) {
    fields.push(['damage', 'would not show: no checksums in the file (encode --checksums), and no --against']);
  }
  if (against !== null) {
    const { msSsim, ssim } = against;
    const similarity =
      msSsim !== null ? `, MS-SSIM ${msSsim.toFixed(4)}` : ssim !== null ? `, SSIM ${ssim.toFixed(4)}` : '';
    const rate = `${against.bitsPerDim.toFixed(4)} bits/dim`;
    const psnr = against.rmse === 0 ? 'the same picture' : `${against.psnr.toFixed(2)} dB`;
    fields.push(['distance', `RMSE ${against.rmse.toFixed(3)}, ${psnr}${similarity} at ${rate}`]);
  }
  return table(fields, [0, 1]);
}
