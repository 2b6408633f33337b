/** `ddpm-codec train --update`: its options, and whether they are possible. */
import { CodecError } from '../../common/errors.js';
import type { UpdateRecord } from '../../model/training/checkpoint.js';
import type { ModelInfo } from '../../node/models.js';
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
  thisCommand,
} from './options.js';

/** About two and a half hours on one core at the default batch size. */
const DEFAULT_STEPS = 8000;
const DEFAULT_BATCH = 4;
/** Options that apply only to training a network. */
const NETWORK_ONLY = [
  ...([
    'band',
    'config',
    'from',
    'optimizer',
    'lr',
    'warmup',
    'cooldown',
    'grad-clip',
    'ema',
    'dropout',
    'prediction',
  ] as const),
  ...(['variance', 'loss', 'timesteps-sampling', 'validate-every'] as const),
];

export async function trainUpdate(args: TrainArgs, given: Given, console: Console): Promise<void> {
  const refused = NETWORK_ONLY.find((name) => args[name] !== undefined);
  if (refused !== undefined) {
    throw new CodecError('usage', `--${refused}: not with --update, which has settings of its own; leave it out`);
  }
  if (args.model === undefined && !args.resume) {
    throw new CodecError('usage', '--update: say of which model, with --model; a name or a directory');
  }
  const named = args.model === undefined ? undefined : await readModel(args.model);
  if (named) await refuseModel(named.directory, args.out);
  const { openRunDirectory } = await import('./files.js');
  const files = await openRunDirectory(args.out, { resume: args.resume, force: args.force });
  try {
    await trainIn(files, named, args, given, console);
  } finally {
    files.close();
  }
}

async function readModel(nameOrDirectory: string): Promise<ModelInfo> {
  const { loadModelInfo } = await import('../../node/models.js');
  const { checkUpdatable } = await import('../../model/unet.js');
  const model = await loadModelInfo(nameOrDirectory);
  checkUpdatable(model.config);
  return model;
}

async function trainIn(
  files: RunFiles,
  named: ModelInfo | undefined,
  args: TrainArgs,
  given: Given,
  console: Console,
): Promise<void> {
  const { readUpdateCheckpoint } = await import('../../node/checkpoint-file.js');
  const checkpoint = args.resume ? await readUpdateCheckpoint(files.checkpoint) : undefined;
  const model = named ?? (await readModel(checkpoint!.record.model));
  const recorded = checkpoint ? takeUp(checkpoint.record, model, args, given) : await planRun(model, args, given);
  const record = { ...recorded, commands: [...recorded.commands, thisCommand()] };
  const { runUpdateSession } = await import('./update-session.js');
  await withContext(args, console, async (context) => {
    await runUpdateSession({
      ...{ console, files, model, record },
      engine: await context.engine(),
      ...(checkpoint && { state: checkpoint.state }),
      limits: limitsOf(given, checkpoint ? undefined : DEFAULT_STEPS),
      checkpointEvery: given.checkpointEvery,
    });
  });
}

/** A new run from the options. */
async function planRun(model: ModelInfo, { data, model: name }: TrainArgs, { options }: Given): Promise<UpdateRecord> {
  if (!data || data.length === 0) throw new CodecError('usage', 'expected --data cifar10 or --data with directories');
  const { updateShapeFor } = await import('../../model/training/update-trainer.js');
  const { batch = DEFAULT_BATCH, side = await defaultSideOf(model, data), seed = 'ddpm-codec' } = options;
  return {
    model: name!,
    modelId: model.id,
    shape: updateShapeFor(model.config.blockOutChannels[0]),
    options: { batch, side, seed },
    ...{ data, commands: [], seconds: 0 },
  };
}

/** The recorded run. @throws CodecError('usage') where the options ask for a different one */
function takeUp(record: UpdateRecord, model: ModelInfo, { data, out }: TrainArgs, given: Given): UpdateRecord {
  refuseOtherModel(out, record.modelId, model);
  if (data && data.join() !== record.data.join()) refuseChange(out, 'data', record.data.join(' '), data.join(' '));
  const recorded: Readonly<Record<string, unknown>> = { ...record.options };
  for (const [option, value] of Object.entries(given.options)) {
    if (value !== recorded[option]) refuseChange(out, option, recorded[option], value);
  }
  return record;
}
