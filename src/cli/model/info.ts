/** `ddpm-codec model list` and `model info`. */
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Arguments, CommandModule } from 'yargs';
import { CodecError } from '../../common/errors.js';
import { exists, reasonOf } from '../../node/files.js';
import { type OutputArgs, outputOptions } from '../args.js';
import { openConsole, table } from '../console.js';
import { describeBands, describeModel, describeNetwork, type ModelReport, reportModel } from './report.js';

/** The customary directory of models. */
const OWN_MODELS = 'models';

interface InfoArgs extends Pick<OutputArgs, 'json'> {
  readonly model: string;
}

interface ListArgs extends Pick<OutputArgs, 'json'> {
  readonly directory?: string;
}

export const modelInfoCommand: CommandModule<object, InfoArgs> = {
  command: 'info <model>',
  describe: 'Show what a model is and how it came about',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 model info <model> [options]\n\n' +
          'Shows architecture, size, noise schedule, and what is known of training and quality. No network is run.',
      )
      .positional('model', {
        type: 'string',
        description: 'Name of a model, digits that the id of a stored one begins with, or a directory',
      })
      .options({ json: outputOptions.json } as const)
      .example('$0 model info photo2', 'one that comes with ddpm-codec')
      .example('$0 model info models/ddpm-cifar10 --json', 'one of your own, for programs') as never,
  handler: showModel,
};

export const modelListCommand: CommandModule<object, ListArgs> = {
  command: 'list [directory]',
  describe: 'List the models that have names, and those of a directory',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 model list [directory] [options]\n\n' +
          'Lists the models that come with ddpm-codec, those of other packages (ddpm-codec-model-NAME) and of your store, and those\n' +
          'in the directories of a directory.',
      )
      .positional('directory', { type: 'string', description: `Where your models are [default: ${OWN_MODELS}]` })
      .options({ json: outputOptions.json } as const)
      .example('$0 model list', 'those with names, and those in models/') as never,
  handler: listAll,
};

async function showModel(args: Arguments<InfoArgs>): Promise<void> {
  const console = openConsole({ json: args.json, quiet: false });
  const { loadModelInfo } = await import('../../node/models.js');
  const report = await reportModel(await loadModelInfo(args.model));
  console.document(report);
  console.answer(describeModel(report));
}

async function listAll(args: Arguments<ListArgs>): Promise<void> {
  const console = openConsole({ json: args.json, quiet: false });
  const { readNamedModels, loadModelInfo, CODEC_FILE, WEIGHTS_FILE } = await import('../../node/models.js');
  const models: ModelReport[] = [];
  for (const one of await readNamedModels()) {
    if ('model' in one) models.push(await reportModel(one.model.info));
    else console.note(`${one.place.name}: ${console.wordsFor(one.error)}`);
  }
  const known = new Set(models.map(({ directory }) => directory));
  const { directory = OWN_MODELS } = args;
  const entries = await readdir(directory, { withFileTypes: true }).catch((error) => {
    // The default directory need not exist.
    if (args.directory === undefined && error.code === 'ENOENT') return [];
    throw new CodecError('file', `${directory}: cannot list this directory: ${reasonOf(error)}`, { cause: error });
  });
  let found = 0;
  for (const entry of entries.filter((candidate) => candidate.isDirectory())) {
    const path = join(directory, entry.name);
    // A directory with neither file is not a model.
    if (!(await exists(join(path, CODEC_FILE))) && !(await exists(join(path, WEIGHTS_FILE)))) continue;
    found++;
    try {
      // An absolute path cannot be taken for a model's name.
      const info = await loadModelInfo(resolve(path));
      if (!known.has(info.directory)) models.push(await reportModel(info));
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      console.note(`${path}: ${console.wordsFor(error)}`);
    }
  }
  if (found === 0) console.note(`no models in the directories of ${resolve(directory)}; these have names here`);
  console.document({ models });
  const rows = models.map(({ name, id, parameters, config, bands }) => [
    name,
    id.slice(0, 8),
    `${(parameters / 1e6).toFixed(2)} M`,
    bands ? `${describeNetwork(config)}; ${describeBands(bands)}` : describeNetwork(config),
  ]);
  console.answer(table([['name', 'id', 'parameters', 'network'], ...rows], [0, 1, 3]));
}
