/** `ddpm-codec train`: trains a model, monitors training, and prepares the model for coding. */
import type { Arguments, CommandModule } from 'yargs';
import { CodecError } from '../../common/errors.js';
import { PREDICTIONS, VARIANCES } from '../../model/parameterization.js';
import type { RunRecord } from '../../model/training/checkpoint.js';
import { OPTIMIZERS } from '../../model/training/optimizer-name.js';
import { PRESETS, type PresetName, presets, withVariance } from '../../model/training/presets.js';
import { TIMESTEP_SAMPLINGS } from '../../model/training/timesteps.js';
import type { TrainerOptions } from '../../model/training/trainer.js';
import { readJsonFile } from '../../node/read.js';
import { engineOptions, numberOption, outputOptions } from '../args.js';
import { type Console, openConsole } from '../console.js';
import { withContext } from '../context.js';
import type { RunFiles } from './files.js';
import {
  checkNumbers,
  defaultSide,
  type Given,
  limitsOf,
  refuseChange,
  refuseModel,
  type TrainArgs,
  takeUpOptions,
  thisCommand,
} from './options.js';

const LOSS_NAMES = ['simple', 'vlb', 'hybrid'] as const;

export const trainCommand: CommandModule<object, TrainArgs> = {
  command: 'train',
  describe: 'Train a model on CIFAR-10 or on directories of pictures',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 train --data <cifar10|dir..> --out <dir> [options]\n\n' +
          'Trains a diffusion model (Ho, Jain & Abbeel 2020, Algorithm 1) and makes it ready for coding: the directory\n' +
          'then works as --model. Ctrl-C writes a checkpoint; --resume goes on exactly where it was. <dir>/training holds\n' +
          'the checkpoint, the log (log.jsonl), a plot of it, and pictures drawn from the model as it learns.\n\n' +
          "The preset small is for CPUs and some hours; paper is the paper's network with its options.\n\n" +
          'With --update it trains the update of an existing model: a small network that predicts what the large one would\n' +
          'output after a few more steps. It is for photographs; coding small pictures hardly ever uses it. --out is then a\n' +
          'copy of --model with the update, a new model with an id of its own. Of the other options only --steps, --hours,\n' +
          '--batch, --crop, --seed, --resume and --checkpoint-every apply; the default takes two to three hours of a core.\n\n' +
          'With --band it trains weights for some timesteps alone, from those that --model has there: better for them, of no\n' +
          'use elsewhere. --out is then a copy of --model with these weights beside the others, a new model with an id of\n' +
          'its own. Train its update after that; ddpm-codec calibrate can renew its profile. Options that would change the\n' +
          'network, what it predicts or how it is validated do not apply.',
      )
      .options({
        data: {
          description: 'cifar10 (see ddpm-codec data) or directories of pictures; NAME=SHARE mixes them',
          type: 'string',
          array: true,
          requiresArg: true,
        },
        out: {
          description: 'Directory of the model',
          type: 'string',
          demandOption: true,
          requiresArg: true,
          alias: 'o',
        },
        config: {
          description: "small, paper, or a UNet2DModel's config.json [default: small]",
          type: 'string',
          requiresArg: true,
        },
        from: {
          description: 'Begin with the weights of this model (name or directory)',
          type: 'string',
          requiresArg: true,
        },
        grow: {
          description: 'With --from and --config: take over what fits into another architecture, and learn the rest',
          type: 'boolean',
          default: false,
        },
        update: { description: 'Train the update of --model', type: 'boolean', default: false },
        band: {
          description: 'Train weights of --model for timesteps LEAST:MOST alone, such as 4:60',
          type: 'string',
          requiresArg: true,
        },
        model: {
          description: 'With --update and --band: name of a model or a directory',
          type: 'string',
          requiresArg: true,
        },
        steps: numberOption(
          'Steps in all [default: 60000 for small, 800000 for paper, 8000 with --update, 4000 with --band]',
        ),
        hours: numberOption('Hours of training in all, instead of --steps or as a further limit'),
        batch: numberOption('Images of a step [default: 32 for small, 128 for paper, 4 with --update, 8 with --band]'),
        optimizer: {
          description:
            'What moves the weights: Adam, or Muon for the matrices of hidden layers [default: muon for small and --band, adam for paper]',
          choices: OPTIMIZERS,
          requiresArg: true,
        },
        lr: numberOption('Learning rate [default: 2e-3 for small, 2e-4 for paper, 1e-3 with --band]'),
        warmup: numberOption('Steps of warm-up [default: 500; paper: 5000; --band: 50]'),
        cooldown: numberOption(
          'Last share of the run, in which the rate falls to 0 [default: 0.2; paper: 0; --band: 0.5]',
        ),
        'grad-clip': numberOption('Largest norm of the gradient, 0 for none [default: 1]'),
        ema: numberOption('Decay of the average of the weights [default: 0.9995; paper: 0.9999; --band: 0.998]'),
        dropout: numberOption('Share of activations dropped [default: 0; paper: 0.1; --band: 0]'),
        prediction: {
          description: 'What the network predicts [default: eps]',
          choices: PREDICTIONS,
          requiresArg: true,
        },
        variance: { description: 'Of the reverse steps [default: beta]', choices: VARIANCES, requiresArg: true },
        loss: {
          description: 'L_simple, the bound L_vlb, or both [default: simple]',
          choices: LOSS_NAMES,
          requiresArg: true,
        },
        'timesteps-sampling': {
          description: 'Which timesteps to train on [default: low-bias; paper: uniform]',
          choices: TIMESTEP_SAMPLINGS,
          requiresArg: true,
        },
        crop: numberOption(
          "Side of the crops, in pixels [default: 32 with cifar10, else 64; with --update and --band the model's window, at most 96]",
        ),
        seed: { description: 'Name of all random numbers', type: 'string', requiresArg: true },
        resume: { description: 'Go on with the run in --out', type: 'boolean', default: false },
        'validate-every': numberOption('Minutes between validations [default: 15]'),
        'checkpoint-every': numberOption('Minutes between checkpoints', { default: 5 }),
        engine: engineOptions.engine,
        device: engineOptions.device,
        threads: engineOptions.threads,
        ...outputOptions,
      } as const)
      .example('$0 train --data cifar10 --out models/mine --hours 5', 'train on CIFAR-10 for five hours')
      .example('$0 train --data photos/ cifar10=0.2 --out models/mine --crop 64', 'a fifth of the crops from CIFAR-10')
      .example('$0 train --out models/mine --resume --hours 10', 'five more hours')
      .example('$0 train --update --model models/mine --data photos/ --out models/mine-2', 'its update')
      .example(
        '$0 train --band 4:60 --model photo2 --data photos/ --out models/mine-3',
        'weights for little noise',
      ) as never,
  handler: train,
};

/** Default number of steps of a preset's run. */
const DEFAULT_STEPS: Readonly<Record<PresetName, number>> = { small: 60_000, paper: 800_000 };

async function train(args: Arguments<TrainArgs>): Promise<void> {
  const console = openConsole(args);
  const given = checkNumbers(args);
  if (args.grow && (args.update || args.band !== undefined || args.resume)) {
    throw new CodecError('usage', '--grow: only for a new network, with --from and --config');
  }
  if (args.grow && args.from === undefined) {
    throw new CodecError('usage', '--grow: say which model it is to grow from, with --from');
  }
  if (args.update) return (await import('./update.js')).trainUpdate(args, given, console);
  if (args.band !== undefined) return (await import('./band.js')).trainBand(args, given, console);
  if (args.model !== undefined) {
    throw new CodecError(
      'usage',
      '--model: only with --update and --band; a new network begins with the weights of --from',
    );
  }
  const { openRunDirectory } = await import('./files.js');
  if (args.from !== undefined) await refuseModel(await directoryOf(args.from), args.out);
  const files = await openRunDirectory(args.out, { resume: args.resume, force: args.force });
  try {
    await trainIn(files, args, given, console);
  } finally {
    files.close();
  }
}

/** Directory of the model that a run starts from. */
async function directoryOf(from: string): Promise<string> {
  const { loadWeights } = await import('../../node/models.js');
  const model = await loadWeights(from).catch((cause: unknown) => {
    if (!(cause instanceof CodecError)) throw cause;
    throw new CodecError(cause.code, cause.message.replace('`model`', '--from'), { cause });
  });
  return model.directory;
}

async function trainIn(files: RunFiles, args: Arguments<TrainArgs>, given: Given, console: Console): Promise<void> {
  const { readCheckpoint } = await import('../../node/checkpoint-file.js');
  const checkpoint = args.resume ? await readCheckpoint(files.checkpoint) : undefined;
  const { record: recorded, steps: defaultSteps } = checkpoint
    ? { record: takeUp(checkpoint.record, args, await configOf(args.config), given.options), steps: undefined }
    : await planRun(args, given.options);
  const record = { ...recorded, commands: [...recorded.commands, thisCommand()] };
  const { runSession } = await import('./session.js');
  await withContext(args, console, async (context) => {
    await runSession({
      console,
      engine: await context.engine(),
      files,
      record,
      ...(checkpoint && { state: checkpoint.state }),
      from: args.from,
      grow: args.grow,
      limits: limitsOf(given, defaultSteps),
      validateEvery: given.validateEvery,
      checkpointEvery: given.checkpointEvery,
    });
  });
}

/** A new run from the options. */
async function planRun(args: TrainArgs, given: Partial<TrainerOptions>) {
  const { data } = args;
  if (!data || data.length === 0) throw new CodecError('usage', 'expected --data cifar10 or --data with directories');
  const chosen = (await configOf(args.config)) ?? { preset: 'small' as const, config: presets.small.config };
  const variance = given.variance ?? presets[chosen.preset].options.variance;
  const side = given.side ?? (await defaultSide(data, 64));
  const options: TrainerOptions = { ...presets[chosen.preset].options, seed: 'ddpm-codec', ...given, side };
  const record: RunRecord = { config: withVariance(chosen.config, variance), options, data, commands: [], seconds: 0 };
  return { record, steps: DEFAULT_STEPS[chosen.preset] };
}

/** The recorded run, with the changes that are allowed. @throws CodecError('usage') for other changes */
function takeUp(
  record: RunRecord,
  args: TrainArgs,
  config: { config: Readonly<Record<string, unknown>> } | undefined,
  given: Partial<TrainerOptions>,
): RunRecord {
  const refuse = (option: string, recorded: unknown, asked: unknown) => refuseChange(args.out, option, recorded, asked);
  if (args.from !== undefined) throw new CodecError('usage', '--from: only for a new run, not with --resume');
  if (record.bandOf) {
    throw new CodecError('usage', `--resume: the run in ${args.out} is for a band; go on with it with --band`);
  }
  if (config) {
    const asked = withVariance(config.config, given.variance ?? record.options.variance);
    for (const key of new Set([...Object.keys(asked), ...Object.keys(record.config)])) {
      if (JSON.stringify(asked[key]) !== JSON.stringify(record.config[key]))
        refuse(key, record.config[key], asked[key]);
    }
  }
  return takeUpOptions(record, args, given);
}

/** The architecture from a preset or a file, with the preset whose options apply; undefined when none was asked for. */
async function configOf(
  name: string | undefined,
): Promise<{ preset: PresetName; config: Readonly<Record<string, unknown>> } | undefined> {
  if (name === undefined) return undefined;
  const preset = PRESETS.find((known) => known === name);
  if (preset) return { preset, config: presets[preset].config };
  const json = await readJsonFile(name, 'model').catch((cause: unknown) => {
    if (!(cause instanceof CodecError) || cause.code !== 'file') throw cause;
    throw new CodecError('file', `--config: expected small, paper or a file, got ${cause.message}`, { cause });
  });
  const { parseConfig } = await import('../../model/config.js');
  parseConfig(json);
  return { preset: 'small', config: json as Record<string, unknown> };
}
