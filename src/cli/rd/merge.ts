/** `ddpm-codec rd merge`: combines the parts of a run into one report. */
import type { Arguments, CommandModule } from 'yargs';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import { joinImage, joinRuns, lacking, type Part, type PartOfImage } from '../../report/rd/join.js';
import type { ImageFailure, RdOptions, Run } from '../../report/rd/results.js';
import { type OutputArgs, outputOptions } from '../args.js';
import { openConsole } from '../console.js';
import { refuseInputs } from '../jobs.js';
import { inReport, openReport, readAllFeatures, readFailures, readImages, readRun, saveImage } from './directory.js';
import { ANCHOR_OPTION, checkAnchor, finishReport, PUBLISHED_OPTION, publishedSet } from './report.js';

/** Maximum number of parts, or of images, named in a message. */
const MOST_TOLD = 20;

interface MergeArgs extends OutputArgs {
  readonly reports: string[];
  readonly output: string;
  readonly published?: string;
  readonly anchor?: string;
}

export const rdMergeCommand: CommandModule<object, MergeArgs> = {
  command: 'merge <reports..>',
  describe: 'Join reports on the same images',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 rd merge <reports..> -o DIRECTORY [options]\n\n' +
          'Joins reports into the one that a single run would have made. They may be of parts of the images, made with\n' +
          '--shard or by a SLURM array or Kubernetes Job, and of different --effort, --seed or --baselines, also with\n' +
          '--model none: so a curve is added to a finished report. All other options must be the same. Images that lack\n' +
          'something are told, and the report is made of the others.',
      )
      .positional('reports', { type: 'string', array: true, description: 'Directories of reports' })
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
      .example('$0 rd merge parts/* -o report/', 'parts of the images')
      .example('$0 rd merge effort5/ effort7/ avif/ -o report/', 'curves of the same images') as never,
  handler: mergeReports,
};

async function mergeReports(args: Arguments<MergeArgs>): Promise<void> {
  const console = openConsole(args);
  const published = publishedSet(args.published);
  await refuseInputs([args.output], args.reports);
  const parts: Part[] = [];
  for (const directory of args.reports) parts.push({ directory, run: await partOf(directory) });
  const whole = joinRuns(parts);
  await checkAnchor(args.anchor, whole.options, published);
  const { images, incomplete, failed } = await collect(parts, whole.options);
  await inReport(args.output, async () => {
    await openReport(args.output, whole, args.force);
    for (const partsOfImage of images.values()) {
      const measured = [];
      for (const part of partsOfImage) {
        measured.push({ ...part, features: await readAllFeatures(part.directory, part.image) });
      }
      const { result, features } = joinImage(whole.options, measured);
      await saveImage(args.output, result, whole.options, features);
    }
    await finishReport(args.output, whole, failed, { published, anchor: args.anchor }, console);
  });
  const { imageCount } = whole.options;
  if (images.size === imageCount) return;
  const found = new Set([...images.keys(), ...incomplete.keys()]);
  const reasons = [...missingParts(found, parts), ...someOf(incomplete.values())];
  throw new CodecError(
    'file',
    `${imageCount - images.size} of ${counted(imageCount, 'image')} not in these reports (${reasons.join('; ')}); ` +
      'the report is of the others',
  );
}

async function partOf(directory: string): Promise<Run> {
  const run = await readRun(directory);
  if (run === undefined) throw new CodecError('file', `${directory}: expected a report made by rd, found no run.json`);
  return run;
}

/**
 * All images of the parts, by index: what they measured of those that are complete, what the others lack, and the failed ones.
 * @throws CodecError `file` when two parts have the same of an image
 */
async function collect(parts: readonly Part[], options: RdOptions) {
  const images = new Map<number, PartOfImage[]>();
  const failed = new Map<number, ImageFailure>();
  for (const part of parts) {
    const { directory, run } = part;
    for (const image of await readImages(directory, run.options)) {
      images.set(image.index, [...(images.get(image.index) ?? []), { ...part, image }]);
    }
    for (const failure of await readFailures(directory, run.options)) failed.set(failure.index, failure);
  }
  const incomplete = new Map<number, string>();
  for (const [index, partsOfImage] of images) {
    const lacks = lacking(options, partsOfImage);
    if (lacks === undefined) {
      // A run that was interrupted and continued may have measured it since.
      failed.delete(index);
      continue;
    }
    images.delete(index);
    if (!failed.has(index)) incomplete.set(index, `${partsOfImage[0].image.name} lacks ${lacks}`);
  }
  return { images, incomplete, failed: [...failed.values()].sort((a, b) => a.index - b.index) };
}

/** Lists some of the parts of which images were not found. */
function missingParts(found: ReadonlySet<number>, [{ run }]: readonly Part[]): string[] {
  const { shard, imageCount } = run.options;
  const numbers = new Set<number>();
  for (let index = 0; index < imageCount; index++) {
    if (found.has(index)) continue;
    if (shard === null) return [`the first is number ${index}, counted from 0`];
    numbers.add((index % shard.count) + 1);
  }
  return numbers.size === 0
    ? []
    : [`of part${numbers.size > 1 ? 's' : ''} ${someOf(numbers).join(', ')} of ${shard!.count}`];
}

/** The first of them, with dots for the others. */
function someOf<T>(values: Iterable<T>): (T | string)[] {
  const all = [...values];
  return [...all.slice(0, MOST_TOLD), ...(all.length > MOST_TOLD ? ['...'] : [])];
}
