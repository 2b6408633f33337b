/** `ddpm-codec model add` and `model remove`: finished models in the user's store. */
import type { Arguments, CommandModule } from 'yargs';
import { invalidArgument } from '../../common/errors.js';
import { type OutputArgs, outputOptions } from '../args.js';
import { openConsole } from '../console.js';
import { openProgress } from '../progress.js';
import { describeModel, reportModel } from './report.js';

interface AddArgs extends Pick<OutputArgs, 'json' | 'quiet'> {
  readonly source: string;
  readonly id?: string;
  readonly name?: string;
}

interface RemoveArgs extends Pick<OutputArgs, 'json'> {
  readonly model: string;
}

export const modelAddCommand: CommandModule<object, AddArgs> = {
  command: 'add <source>',
  describe: 'Put a finished model into your store, where files find it by its id',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 model add <source> [options]\n\n' +
          'Puts a model that has codec.json into the store of this user, as it is. From then on files that were made with it are\n' +
          'decoded without --model. <source> is\n' +
          '  - a directory, or a tarball of one (.tgz);\n' +
          '  - an address of a tarball (https://...);\n' +
          '  - a package of the npm registry: npm:NAME, NAME@VERSION where NAME begins with ddpm-codec-model-, or @SCOPE/NAME;\n' +
          '  - owner/name of a public repository of the Hugging Face Hub (or of the server HF_ENDPOINT).\n' +
          'All of it is read and hashed before it is there. No code comes with a model. The store is in DDPM_CODEC_MODELS if that is\n' +
          "set, else where this system keeps programs' data. A network without codec.json: ddpm-codec model import.",
      )
      .positional('source', { type: 'string', description: 'Directory, tarball, address, package, or owner/name' })
      .options({
        id: {
          type: 'string',
          requiresArg: true,
          description: 'What its id has to begin with, 6 digits or more: refuses any other model',
        },
        name: { type: 'string', requiresArg: true, description: 'Call it this [default: as it is called there]' },
        json: outputOptions.json,
        quiet: outputOptions.quiet,
      } as const)
      .example('$0 model add models/mine', 'one that you trained')
      .example('$0 model add ddpm-codec-model-birds@1.0.0 --id 3fa2b1', 'the one that a file needs, from a package')
      .example('$0 model add https://example.org/birds.tgz', 'from an address') as never,
  handler: addModel,
};

export const modelRemoveCommand: CommandModule<object, RemoveArgs> = {
  command: 'remove <model>',
  describe: 'Take a model out of your store',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 model remove <model> [options]\n\nDeletes a model of the store. Files made with it are not decoded then.',
      )
      .positional('model', { type: 'string', description: 'Its name, or 6 digits or more that its id begins with' })
      .options({ json: outputOptions.json } as const)
      .example('$0 model remove birds', 'by its name') as never,
  handler: remove,
};

async function addModel(args: Arguments<AddArgs>): Promise<void> {
  const console = openConsole(args);
  const { isIdPrefix } = await import('../../node/model-places.js');
  const { storeModel } = await import('../../node/model-store.js');
  const { findModelSource } = await import('../../data/model-source.js');
  if (args.id !== undefined && !isIdPrefix(args.id)) {
    throw invalidArgument('--id', '6 to 64 digits of 0-9 and a-f', args.id);
  }
  const source = await findModelSource(args.source);
  const progress = openProgress(console, `fetching ${args.source}`);
  const { info, isNew } = await storeModel(args.name ?? source.name, args.id, (directory) =>
    source.fill(directory, (fraction) => progress.update(fraction)),
  ).finally(() => progress.stop());
  const report = await reportModel(info);
  if (!isNew) console.note(`it was in the store already, as ${info.name}`);
  console.document({ source: args.source, added: isNew, ...report });
  console.result(describeModel(report));
}

async function remove(args: Arguments<RemoveArgs>): Promise<void> {
  const console = openConsole({ json: args.json, quiet: false });
  const { removeModel } = await import('../../node/model-store.js');
  const { name, id, directory } = await removeModel(args.model);
  console.document({ name, id, directory });
  console.result(`${name} (id ${id.slice(0, 8)}) is no longer in the store`);
}
