/** `ddpm-codec rd merge`: combines the parts of a run into one report. */
import type { Arguments, CommandModule } from 'yargs';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import { differences, type ImageFailure, type ImageResult, type Run } from '../../report/rd/results.js';
import { type OutputArgs, outputOptions } from '../args.js';
import { openConsole } from '../console.js';
import { refuseInputs } from '../jobs.js';
import { inReport, openReport, readAllFeatures, readFailures, readImages, readRun, saveImage } from './directory.js';
import { ANCHOR_OPTION, checkAnchor, finishReport, PUBLISHED_OPTION, publishedSet } from './report.js';

/** Maximum number of parts named in a message. */
const MOST_TOLD = 20;

interface MergeArgs extends OutputArgs {
  readonly reports: string[];
  readonly output: string;
  readonly published?: string;
  readonly anchor?: string;
}

export const rdMergeCommand: CommandModule<object, MergeArgs> = {
  command: 'merge <reports..>',
  describe: 'Join the reports of parts of a run',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 rd merge <reports..> -o DIRECTORY [options]\n\n' +
          'Joins reports that were made with --shard, or by a SLURM array or Kubernetes Job, into the one that a single\n' +
          'run would have made. Parts that are missing are told, and the report is made of the others.',
      )
      .positional('reports', { type: 'string', array: true, description: 'Directories of the parts' })
      .options({
        output: {
          alias: 'o',
          type: 'string',
          requiresArg: true,
          demandOption: true,
          description: 'Directory of the whole report',
        },
        published: PUBLISHED_OPTION,
        anchor: ANCHOR_OPTION,
        ...outputOptions,
      } as const)
      .example('$0 rd merge parts/* -o report/', '') as never,
  handler: mergeReports,
};

async function mergeReports(args: Arguments<MergeArgs>): Promise<void> {
  const console = openConsole(args);
  const published = publishedSet(args.published);
  await refuseInputs([args.output], args.reports);
  const parts: Part[] = [];
  for (const directory of args.reports) parts.push({ directory, run: await partOf(directory) });
  const [first, ...others] = parts;
  for (const { directory, run } of others) {
    const changed = differences(first.run, run, ['shard']);
    if (changed.length > 0) {
      throw new CodecError('file', `${directory}: is of another run than ${first.directory}: ${changed.join('; ')}`);
    }
  }
  const whole: Run = { ...first.run, options: { ...first.run.options, shard: null } };
  await checkAnchor(args.anchor, whole.options, published);
  const { images, failed } = await collect(parts);
  await inReport(args.output, async () => {
    await openReport(args.output, whole, args.force);
    for (const { directory, image } of images.values()) {
      await saveImage(args.output, image, whole.options, await readAllFeatures(directory, image));
    }
    await finishReport(args.output, whole, failed, { published, anchor: args.anchor }, console);
  });
  const { imageCount } = whole.options;
  if (images.size === imageCount) return;
  throw new CodecError(
    'file',
    `${imageCount - images.size} of ${counted(imageCount, 'image')} not in these reports (${missingParts(images, parts)}); ` +
      'the report is of the others',
  );
}

interface Part {
  readonly directory: string;
  readonly run: Run;
}

async function partOf(directory: string): Promise<Run> {
  const run = await readRun(directory);
  if (run === undefined) throw new CodecError('file', `${directory}: expected a report made by rd, found no run.json`);
  return run;
}

/**
 * All images of the parts, by index, and the failed ones.
 * @throws CodecError `file` when two parts have the same image
 */
async function collect(parts: readonly Part[]) {
  const images = new Map<number, { readonly directory: string; readonly image: ImageResult }>();
  const failed = new Map<number, ImageFailure>();
  for (const { directory, run } of parts) {
    for (const image of await readImages(directory, run.options)) {
      if (images.has(image.index)) {
        throw new CodecError(
          'file',
          `${directory}: ${image.name} is in another of these reports, too; name each part once`,
        );
      }
      images.set(image.index, { directory, image });
    }
    for (const failure of await readFailures(directory, run.options)) failed.set(failure.index, failure);
  }
  // A run that was interrupted and continued may have measured them since.
  for (const index of images.keys()) failed.delete(index);
  return { images, failed: [...failed.values()].sort((a, b) => a.index - b.index) };
}

/** Lists some of the parts with missing images. */
function missingParts(images: ReadonlyMap<number, unknown>, [{ run }]: readonly Part[]): string {
  const { shard, imageCount } = run.options;
  const numbers = new Set<number>();
  for (let index = 0; index < imageCount; index++) {
    if (images.has(index)) continue;
    if (shard === null) return `the first is number ${index}, counted from 0`;
    numbers.add((index % shard.count) + 1);
  }
  const told = [...numbers].slice(0, MOST_TOLD).join(', ');
  const more = numbers.size > MOST_TOLD ? ', ...' : '';
  return `of part${numbers.size > 1 ? 's' : ''} ${told}${more} of ${shard!.count}`;
}
