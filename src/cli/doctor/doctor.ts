/** `ddpm-codec doctor`: what this machine has, what will be used, and how long pictures will take. */
import { availableParallelism, totalmem } from 'node:os';
import type { Arguments, CommandModule } from 'yargs';
import { DEFAULT_EFFORT, DEFAULT_TARGET_RMSE, MAX_EFFORT } from '../../codec/options.js';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import type { Size } from '../../image/image.js';
import { type EngineArgs, engineOptions, integer, numberOption, type OutputArgs, outputOptions } from '../args.js';
import { type Console, formatDuration, openConsole, table } from '../console.js';
import { type OpenModel, withContext } from '../context.js';

interface DoctorArgs extends EngineArgs, Pick<OutputArgs, 'json'> {
  readonly effort: unknown;
}

/** Photographs whose times are predicted: Kodak's, a screen's, a phone's. */
const SIZES: readonly Size[] = [
  { width: 768, height: 512 },
  { width: 1280, height: 800 },
  { width: 4000, height: 3000 },
];

/** What is right or wrong with a part of the installation. */
interface Finding {
  readonly name: string;
  readonly says: string;
  /** Whether something does not work; what else may be missing is said. */
  readonly isFault?: boolean;
}

/** The models that can be named, read. */
type NamedModels = Awaited<ReturnType<typeof import('../../node/models.js').readNamedModels>>;

interface Prediction extends Size {
  readonly encodeSeconds: number;
  readonly decodeSeconds: number;
}

export const doctorCommand: CommandModule<object, DoctorArgs> = {
  command: 'doctor',
  describe: 'Say what this machine has, what will be used, and how long pictures will take',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 doctor [options]\n\n' +
          'Looks for engines, models and data, runs the network for a few seconds, and predicts how long photographs take to the\n' +
          'default RMSE. The exit code is 1 where something that every command needs does not work.',
      )
      .options({
        effort: numberOption(`As for encode, 1 to ${MAX_EFFORT}`, { default: DEFAULT_EFFORT }),
        ...engineOptions,
        json: outputOptions.json,
      } as const)
      .example('$0 doctor', 'what is used by default')
      .example('$0 doctor --engine wasm --effort 1', 'without native code, in a hurry') as never,
  handler: examine,
};

async function examine(args: Arguments<DoctorArgs>): Promise<void> {
  const effort = integer('--effort', args.effort, 1, MAX_EFFORT)!;
  const console = openConsole({ json: args.json, quiet: false });
  const { readNamedModels } = await import('../../node/models.js');
  const models = await readNamedModels();
  const { engine, predictions, fault } = await measure(args, effort, models, console);
  const findings = [
    await findProgram(),
    engine,
    ...(await findModels(models, console)),
    await findData(),
    await findPage(console),
  ];
  console.document({ findings, effort, predictions });
  const lines = findings.map(({ name, says, isFault }) => [isFault ? `${name}: FAULT` : name, says]);
  const times = predictions.map(({ width, height, encodeSeconds, decodeSeconds }) => [
    `${width}x${height}`,
    formatDuration(encodeSeconds),
    formatDuration(decodeSeconds),
  ]);
  console.answer([
    ...table(lines, [0, 1]),
    ...(times.length > 0
      ? [
          '',
          `photographs at effort ${effort}, to an RMSE of ${DEFAULT_TARGET_RMSE}, about:`,
          ...table([['', 'encode', 'decode'], ...times], [0]),
        ]
      : []),
  ]);
  if (fault) throw fault;
  const faults = findings.filter(({ isFault }) => isFault);
  if (faults.length > 0) throw new CodecError('model', `${counted(faults.length, 'fault')}, see above`);
}

async function findProgram(): Promise<Finding> {
  const { packageVersion } = await import('../../node/version.js');
  const { FORMAT_VERSION } = await import('../../codec/format/header.js');
  const gigabytes = (totalmem() / 2 ** 30).toFixed(0);
  const machine = `${process.platform} ${process.arch}, ${counted(availableParallelism(), 'core')}, ${gigabytes} GiB`;
  return {
    name: 'program',
    says: `ddpm-codec ${packageVersion()}, format ${FORMAT_VERSION}; Node ${process.version}; ${machine}`,
  };
}

async function findModels(named: NamedModels, console: Console): Promise<Finding[]> {
  const { RELEASED_MODELS } = await import('../../codec/format/released-models.js');
  const { MODEL_PACKAGE, storeDirectory } = await import('../../node/model-places.js');
  const released = RELEASED_MODELS.map(({ name }) => name);
  const missing = released.filter((name) => !named.some(({ place }) => place.name === name));
  const findings = named.map(
    (one): Finding =>
      'model' in one
        ? { name: `model ${one.place.name}`, says: `id ${one.model.info.id.slice(0, 8)}, ${one.place.directory}` }
        : {
            name: `model ${one.place.name}`,
            says: console.wordsFor(one.error),
            isFault: released.includes(one.place.name),
          },
  );
  return [
    ...findings,
    ...missing.map((name) => ({
      name: `model ${name}`,
      says: `missing; npm install ${MODEL_PACKAGE}${name}`,
      isFault: true,
    })),
    { name: 'store', says: `${storeDirectory()}: what "ddpm-codec model add" has put there is among the models` },
  ];
}

async function findData(): Promise<Finding> {
  const { cacheDirectory } = await import('../../data/cache.js');
  const { hasCifar10 } = await import('../../data/cifar10-import.js');
  const cache = cacheDirectory();
  const says = (await hasCifar10(cache)) ? 'CIFAR-10 is there' : 'no CIFAR-10; ddpm-codec data cifar10 fetches it';
  return { name: 'cache', says: `${cache}: ${says}` };
}

async function findPage(console: Console): Promise<Finding> {
  const { pageFiles } = await import('../../node/page.js');
  try {
    await pageFiles([]);
    return { name: 'page', says: 'ddpm-codec page can serve it' };
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    return { name: 'page', says: console.wordsFor(error) };
  }
}

/** Opens the engine and, unless it is missing, the model for photographs, and times the network. */
async function measure(
  args: DoctorArgs,
  effort: number,
  named: NamedModels,
  console: Console,
): Promise<{ engine: Finding; predictions: Prediction[]; fault?: unknown }> {
  try {
    return await withContext(args, console, async (context) => {
      const { PHOTO_MODEL } = await import('../../node/models.js');
      const { typicalWork } = await import('../../codec/encoder/typical-work.js');
      const { timeNetwork } = await import('../../model/network-time.js');
      if (!named.some(({ place }) => place.name === PHOTO_MODEL)) {
        const { name, description } = await context.engine();
        return { engine: { name: 'engine', says: `${name}: ${description}` }, predictions: [] };
      }
      const encoder = await context.model(PHOTO_MODEL, SIZES[0], { exact: true });
      const decoder = await context.model(PHOTO_MODEL, SIZES[0]);
      const encodeSeconds = await timeNetwork(encoder.model);
      const decodeSeconds = decoder.model === encoder.model ? encodeSeconds : await timeNetwork(decoder.model);
      const predictions = SIZES.map((size) => {
        const { encode, decode } = typicalWork(encoder.model, size, effort);
        return { ...size, encodeSeconds: encode * encodeSeconds(size), decodeSeconds: decode * decodeSeconds(size) };
      });
      const described = ({ engine: { name, description } }: OpenModel) => `${name}: ${description}`;
      const says =
        decoder.engine === encoder.engine
          ? described(encoder)
          : `${described(encoder)}, which encodes; ${described(decoder)}, which decodes`;
      return { engine: { name: 'engine', says }, predictions };
    });
  } catch (fault) {
    if (!(fault instanceof CodecError)) throw fault;
    return { engine: { name: 'engine', says: console.wordsFor(fault), isFault: true }, predictions: [], fault };
  }
}
