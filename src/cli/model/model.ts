/** `ddpm-codec model`: manages the store, imports and exports networks, and lists models. */
import type { CommandModule } from 'yargs';
import { modelAddCommand, modelRemoveCommand } from './add.js';
import { modelExportCommand } from './export.js';
import { modelImportCommand } from './import.js';
import { modelInfoCommand, modelListCommand } from './info.js';

export const modelCommand: CommandModule = {
  command: 'model',
  describe: 'Add, import, export, list and describe models',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 model <action> [options]\n\n' +
          'Models are directories with config.json and diffusion_pytorch_model.safetensors, as diffusers has them, and\n' +
          'codec.json. Every command takes one as --model; those of packages and of the store are found by their ids, too.',
      )
      .command(modelAddCommand)
      .command(modelRemoveCommand)
      .command(modelImportCommand)
      .command(modelExportCommand)
      .command(modelListCommand)
      .command(modelInfoCommand)
      .demandCommand(1, 'expected an action: add, remove, import, export, list or info')
      .example('$0 model import google/ddpm-cifar10-32 --out models/ddpm-cifar10', "fetch the authors' network")
      .example('$0 model add someone/birds', 'a finished model, so that its files can be read')
      .example('$0 model list', 'what there is')
      .epilogue("'ddpm-codec model <action> --help' explains an action."),
  handler() {},
};
