/** `ddpm-codec model export`: a model in the form of diffusers. */
import { join } from 'node:path';
import type { Arguments, CommandModule } from 'yargs';
import type { WeightsBand } from '../../codec/bands.js';
import { CodecError } from '../../common/errors.js';
import { nameOfBand } from '../../model/bands.js';
import { makeDirectory } from '../../node/files.js';
import type { ModelInfo } from '../../node/models.js';
import { type OutputArgs, outputOptions, parseBand } from '../args.js';
import { openConsole, toJson } from '../console.js';
import { refuseInputs } from '../jobs.js';
import { checkWritable, writeAtomically } from '../output.js';

interface ExportArgs extends OutputArgs {
  readonly model: string;
  readonly out: string;
  readonly half: boolean;
  readonly band?: string;
}

const INDEX_FILE = 'model_index.json';
/** Marks the directory as a diffusers pipeline, so that diffusers finds the parts beside this file. */
const PIPELINE = {
  _class_name: 'DDPMPipeline',
  scheduler: ['diffusers', 'DDPMScheduler'],
  unet: ['diffusers', 'UNet2DModel'],
};

export const modelExportCommand: CommandModule<object, ExportArgs> = {
  command: 'export <model>',
  describe: 'Write a model for diffusers',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 model export <model> --out <dir> [options]\n\n' +
          'Writes a directory that diffusers loads: UNet2DModel.from_pretrained(dir), DDPMScheduler.from_pretrained(dir),\n' +
          "DDPMPipeline.from_pretrained(dir), of diffusers 0.17 or newer: attention has today's names (to_q, to_k, to_v, to_out.0).",
      )
      .positional('model', { type: 'string', description: 'Name of a model or a directory' })
      .options({
        out: { type: 'string', requiresArg: true, demandOption: true, description: 'Directory to write to' },
        band: {
          type: 'string',
          requiresArg: true,
          description: 'Weights for timesteps LEAST:MOST, of a model that has some of their own there',
        },
        half: { type: 'boolean', default: false, description: 'Round the weights to half precision' },
        ...outputOptions,
      } as const)
      .example('$0 model export photo --out photo-diffusers/', 'in single precision') as never,
  handler: exportModel,
};

async function exportModel(args: Arguments<ExportArgs>): Promise<void> {
  const console = openConsole(args);
  const { CONFIG_FILE, SCHEDULER_FILE, UPDATE_FILE, WEIGHTS_FILE, loadModelInfo, loadWeights } = await import(
    '../../node/models.js'
  );
  const { schedulerConfigJson } = await import('../../model/scheduler-config.js');
  const { writeSafetensors } = await import('../../model/safetensors.js');
  const info = await loadModelInfo(args.model);
  const { scheduleConfig, parameterization, config, directory, updates } = info;
  if (config.patchSize !== 1) {
    throw new CodecError('model', `${args.model}: diffusers has no networks with patch_size, got ${config.patchSize}`);
  }
  const names = [CONFIG_FILE, SCHEDULER_FILE, INDEX_FILE, WEIGHTS_FILE];
  const outputs = names.map((name) => join(args.out, name));
  await refuseInputs(
    outputs,
    names.map((name) => join(directory, name)),
  );
  const band = args.band === undefined ? undefined : await bandNamed(args.band, info);
  const { tensors, configJson } = await loadWeights(args.model, band);
  await makeDirectory(args.out);
  for (const output of outputs) await checkWritable(output, args);
  const files = {
    [CONFIG_FILE]: toJson(configJson),
    [SCHEDULER_FILE]: toJson(schedulerConfigJson({ schedule: scheduleConfig, parameterization })),
    [INDEX_FILE]: toJson(PIPELINE),
    [WEIGHTS_FILE]: writeSafetensors(tensors, { dtype: args.half ? 'F16' : 'F32', metadata: { format: 'pt' } }),
  };
  for (const [name, data] of Object.entries(files)) {
    await writeAtomically(join(args.out, name), Buffer.from(data), args);
  }
  const others = (info.bands ?? []).map((one) => nameOfBand(one, ':'));
  if (band === undefined && others.length > 0) {
    console.note(
      `weights for t = ${others.join(', ')} are not part of it: diffusers has one network for all; --band exports them`,
    );
  }
  if (updates) console.note(`${UPDATE_FILE} is not part of it: diffusers has no use for it`);
  console.document({ model: args.model, outputs });
  console.result(`${args.out}: ${names.join(', ')}`);
}

/** @throws CodecError('usage') where the model has no separate weights for the band */
async function bandNamed(text: string, { name, bands = [] }: ModelInfo): Promise<WeightsBand> {
  const { isSameBand } = await import('../../model/bands.js');
  const asked = parseBand(text);
  const band = bands.find((one) => isSameBand(one, asked));
  if (band) return band;
  const known = bands.map((one) => nameOfBand(one, ':')).join(', ');
  throw new CodecError('usage', `--band: ${name} has ${known === '' ? 'no bands' : `bands ${known}`}, not ${text}`);
}
