/** `ddpm-codec train --band`: its options, and whether they are possible. */
import { join } from 'node:path';
import { CodecError } from '../../common/errors.js';
import type { Band } from '../../model/bands.js';
import type { RunRecord } from '../../model/training/checkpoint.js';
import type { TrainerOptions } from '../../model/training/trainer.js';
import type { ModelInfo } from '../../node/models.js';
import { readJsonFile } from '../../node/read.js';
import { parseBand } from '../args.js';
import type { Console } from '../console.js';
import { withContext } from '../context.js';
import type { RunFiles } from './files.js';
import {
  defaultSideOf,
  type Given,
  limitsOf,
  refuseChange,
  refuseModel,
  refuseOtherModel,
  type TrainArgs,
  takeUpOptions,
  thisCommand,
} from './options.js';

const DEFAULT_STEPS = 4000;
/** Weights that are already good are changed a little, and then held still. */
const DEFAULTS = {
  batch: 8,
  optimizer: 'muon',
  learningRate: 1e-3,
  warmup: 50,
  cooldown: 0.5,
  gradientClip: 1,
  ema: 0.998,
  dropout: 0,
  seed: 'ddpm-codec',
} as const;
/** Options for what the model has already decided. */
const OF_THE_MODEL = ['config', 'from', 'prediction', 'variance', 'timesteps-sampling', 'validate-every'] as const;

export async function trainBand(args: TrainArgs, given: Given, console: Console): Promise<void> {
  const band = parseBand(args.band!);
  const refused = OF_THE_MODEL.find((name) => args[name] !== undefined);
  if (refused !== undefined) {
    throw new CodecError('usage', `--${refused}: not with --band, for which it is that of --model; leave it out`);
  }
  if (args.model === undefined && !args.resume) {
    throw new CodecError('usage', '--band: say of which model, with --model; a name or a directory');
  }
  const named = args.model === undefined ? undefined : await readModel(args.model, band);
  if (named) await refuseModel(named.directory, args.out);
  const { openRunDirectory } = await import('./files.js');
  const files = await openRunDirectory(args.out, { resume: args.resume, force: args.force });
  try {
    await trainIn(files, band, named, args, given, console);
  } finally {
    files.close();
  }
}

/** The model, if it can have this band. */
async function readModel(nameOrDirectory: string, band: Band): Promise<ModelInfo> {
  const { loadModelInfo } = await import('../../node/models.js');
  const { checkBand, isSameBand, nameOfBand } = await import('../../model/bands.js');
  const model = await loadModelInfo(nameOrDirectory);
  const { MOST_BANDS } = await import('../../codec/bands.js');
  checkBand(band, model.schedule);
  const others = (model.bands ?? []).filter((other) => !isSameBand(other, band));
  if (others.length === MOST_BANDS) {
    throw new CodecError('usage', `--band: ${model.name} has ${MOST_BANDS} bands, and no room for another`);
  }
  const inTheWay = others.find((other) => other.least <= band.most && band.least <= other.most);
  if (inTheWay) {
    throw new CodecError(
      'usage',
      `--band: ${model.name} has weights for ${nameOfBand(inTheWay, ':')}; go on with those, or name timesteps beside them`,
    );
  }
  return model;
}

async function trainIn(
  files: RunFiles,
  band: Band,
  named: ModelInfo | undefined,
  args: TrainArgs,
  given: Given,
  console: Console,
): Promise<void> {
  const { readCheckpoint } = await import('../../node/checkpoint-file.js');
  const checkpoint = args.resume ? await readCheckpoint(files.checkpoint) : undefined;
  if (checkpoint && !checkpoint.record.bandOf) {
    throw new CodecError(
      'usage',
      `--resume: the run in ${args.out} is of a whole network; go on with it without --band`,
    );
  }
  const model = named ?? (await readModel(checkpoint!.record.bandOf!.model, band));
  const recorded = checkpoint
    ? takeUp(checkpoint.record, model, band, args, given)
    : await planRun(model, band, args, given);
  const record = { ...recorded, commands: [...recorded.commands, thisCommand()] };
  const { runBandSession } = await import('./band-session.js');
  await withContext(args, console, async (context) => {
    await runBandSession({
      ...{ console, files, model, band, record },
      engine: await context.engine(),
      ...(checkpoint && { state: checkpoint.state }),
      limits: limitsOf(given, checkpoint ? undefined : DEFAULT_STEPS),
      checkpointEvery: given.checkpointEvery,
    });
  });
}

/** A new run from the options. */
async function planRun(model: ModelInfo, band: Band, args: TrainArgs, { options }: Given): Promise<RunRecord> {
  const { data } = args;
  if (!data || data.length === 0) throw new CodecError('usage', 'expected --data cifar10 or --data with directories');
  const { CONFIG_FILE } = await import('../../node/models.js');
  const config = await readJsonFile(join(model.directory, CONFIG_FILE), 'model');
  const trainer: TrainerOptions = {
    ...DEFAULTS,
    ...model.parameterization,
    loss: model.parameterization.variance === 'learned' ? 'hybrid' : 'simple',
    side: await defaultSideOf(model, data),
    ...options,
    ...{ timestepsSampling: 'log-snr', band },
  };
  return {
    config: config as Record<string, unknown>,
    options: trainer,
    bandOf: { model: args.model!, modelId: model.id },
    ...{ data, commands: [], seconds: 0 },
  };
}

/** The recorded run, with the changes that are allowed. @throws CodecError('usage') for other changes */
function takeUp(record: RunRecord, model: ModelInfo, band: Band, args: TrainArgs, given: Given): RunRecord {
  refuseOtherModel(args.out, record.bandOf!.modelId, model);
  const { least, most } = record.options.band!;
  if (band.least !== least || band.most !== most) {
    refuseChange(args.out, 'band', `${least}:${most}`, `${band.least}:${band.most}`);
  }
  return takeUpOptions(record, args, given.options);
}
