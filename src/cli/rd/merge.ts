/** `ddpm-codec rd merge`: the parts of a run become one report. */
import type { Arguments, CommandModule } from 'yargs';
import { CodecError } from '../../common/errors.js';
import { differences, type ImageFailure, type ImageResult, type Run } from '../../report/rd/results.js';
import { imagesOfShard } from '../../report/rd/shard.js';
import { type OutputArgs, outputOptions } from '../args.js';
import { openConsole } from '../console.js';
import { refuseInputs } from '../jobs.js';
import { openReport, readFailures, readImages, readRun, saveImage } from './directory.js';
import { finishReport, PUBLISHED_OPTION, publishedSet } from './report.js';

interface MergeArgs extends OutputArgs {
  readonly reports: string[];
  readonly output: string;
  readonly published?: string;
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
        ...outputOptions,
      } as const)
      .example('$0 rd merge parts/* -o report/', '') as never,
  handler: mergeReports,
};

async function mergeReports(args: Arguments<MergeArgs>): Promise<void> {
  const console = openConsole(args);
  const published = publishedSet(args.published);
  await refuseInputs([args.output], args.reports);
  const parts: { directory: string; run: Run }[] = [];
  for (const directory of args.reports) parts.push({ directory, run: await partOf(directory) });
  const [first, ...others] = parts;
  for (const { directory, run } of others) {
    const changed = differences(first.run, run, ['shard']);
    if (changed.length > 0) {
      throw new CodecError('file', `${directory}: is of another run than ${first.directory}: ${changed.join('; ')}`);
    }
  }
  const whole: Run = { ...first.run, options: { ...first.run.options, shard: null } };
  const { images, failed } = await collect(parts);
  await openReport(args.output, whole, args.force);
  for (const image of images.values()) await saveImage(args.output, image);
  await finishReport(args.output, whole, failed, published, console);
  const missing = imagesOfShard(whole.options.imageCount, undefined).filter((index) => !images.has(index));
  if (missing.length === 0) return;
  throw new CodecError(
    'file',
    `${missing.length} of ${whole.options.imageCount} images are not in these reports (${missingParts(missing, parts)}); ` +
      'the report is of the others',
  );
}

async function partOf(directory: string): Promise<Run> {
  const run = await readRun(directory);
  if (run === undefined) throw new CodecError('file', `${directory}: expected a report made by rd, found no run.json`);
  return run;
}

/** All images of the parts, by number. @throws CodecError `file` when two parts have the same one */
async function collect(parts: readonly { readonly directory: string }[]) {
  const images = new Map<number, ImageResult>();
  const failed: ImageFailure[] = [];
  for (const { directory } of parts) {
    for (const image of await readImages(directory)) {
      if (images.has(image.index)) {
        throw new CodecError(
          'file',
          `${directory}: ${image.name} is in another of these reports, too; name each part once`,
        );
      }
      images.set(image.index, image);
    }
    failed.push(...(await readFailures(directory)));
  }
  return { images, failed: failed.sort((a, b) => a.index - b.index) };
}

function missingParts(missing: readonly number[], parts: readonly { readonly run: Run }[]): string {
  const { shard } = parts[0].run.options;
  if (shard === null) return `the first is number ${missing[0]}, counted from 0`;
  const indexes = [...new Set(missing.map((index) => (index % shard.count) + 1))];
  return `of part${indexes.length > 1 ? 's' : ''} ${indexes.join(', ')} of ${shard.count}`;
}
