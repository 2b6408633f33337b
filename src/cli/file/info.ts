/** `ddpm-codec info`: what a .ddc file says about itself. */
import type { Arguments, CommandModule } from 'yargs';
import type { DamagedPart, FileInfo } from '../../codec/format/info.js';
import { readInfo } from '../../codec/format/info.js';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import type { ModelInfo } from '../../node/models.js';
import { modelOfFileOption, type OutputArgs, outputOptions } from '../args.js';
import { openConsole, table } from '../console.js';
import { aboutFile } from '../jobs.js';
import { inputName, readInput } from '../streams.js';

interface InfoArgs extends Pick<OutputArgs, 'json'> {
  readonly file: string;
  readonly model?: string;
}

/** Names of the parts with checksums, for people. */
const PARTS: Readonly<Record<DamagedPart, string>> = {
  alpha: 'alpha plane',
  steps: 'steps: verify says after which',
  metadata: 'metadata',
};

/**
 * The document of `--json`: the codec's {@link FileInfo}, the file's name, its rate, and its model's name if the model
 * is available.
 */
export interface InfoReport extends FileInfo {
  readonly input: string;
  readonly bitsPerDim: number;
  readonly model: { readonly name: string; readonly id: string } | null;
}

export const infoCommand: CommandModule<object, InfoArgs> = {
  command: 'info <file>',
  describe: 'Show the header of a .ddc file and its steps',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 info <file> [options]\n\n' +
          'Shows the header of a .ddc file. When its model is at hand also the steps: for each the timestep reached, its\n' +
          'bits, and the size of the file up to there, where it can be cut off without waste; which checksums are wrong; and\n' +
          'bytes after its end. A drawing has no steps and can be cut off anywhere. No network is run. Exit code 0 when the\n' +
          'header can be read, whatever follows: verify judges.',
      )
      .positional('file', { type: 'string', description: 'A .ddc file; - for standard input' })
      .options({
        model: modelOfFileOption,
        json: outputOptions.json,
      } as const)
      .example('$0 info photo.ddc', 'header, steps, whether it is complete')
      .example('head -c 500 photo.ddc | $0 info -', 'of what comes through a pipe')
      .example('$0 info photo.ddc --json', 'the same for programs') as never,
  handler: showInfo,
};

async function showInfo(args: Arguments<InfoArgs>): Promise<void> {
  const console = openConsole({ json: args.json, quiet: false });
  const bytes = await readInput(args.file);
  const name = inputName(args.file);
  const header = await aboutFile(name, () => readInfo(bytes));
  const model = await aboutFile(name, () => modelAtHand(header, args.model));
  const info = model === undefined ? header : await aboutFile(name, () => readInfo(bytes, model));
  const report: InfoReport = {
    input: args.file,
    ...info,
    bitsPerDim: (info.bytes * 8) / (info.width * info.height * 3),
    model: model === undefined ? null : { name: model.name, id: model.id },
  };
  console.document(report);
  console.answer(describe(report));
  if (model === undefined) {
    console.note(`no model with id ${header.modelId} at hand, so no steps; name its directory with --model`);
  }
}

/** The model with that id; `undefined` where it is missing and the user named none. */
async function modelAtHand(header: FileInfo, name: string | undefined): Promise<ModelInfo | undefined> {
  const { findModel } = await import('../../node/models.js');
  try {
    return (await findModel(header, name)).info;
  } catch (error) {
    if (name === undefined && error instanceof CodecError && error.code === 'model') return undefined;
    throw error;
  }
}

function describe(report: InfoReport): string[] {
  const { steps, stepsComplete, complete, bytesWhenComplete, trailingBytes = 0, damaged = [] } = report;
  const fields: [string, string][] = [
    ['file', inputName(report.input)],
    ['format version', String(report.version)],
    ['picture', `${report.width} x ${report.height}`],
    ['model', report.model === null ? `id ${report.modelId}` : `${report.model.name} (id ${report.modelId})`],
    ...(isDrawing(report) ? [] : [['trellis', `${2 ** report.stateBits} states`] as [string, string]]),
    ['seed', String(report.seed)],
    ...(report.alpha ? [['transparency', describeAlpha(report)] as [string, string]] : []),
    ['samples', describeSamples(report)],
    ['checksums', report.checksums ? 'yes' : 'no'],
    ...Object.entries(report.metadata ?? {}).map(([key, value]): [string, string] => [key, value]),
    ['size', `${report.bytes} bytes, ${report.bitsPerDim.toFixed(4)} bits/dim, header ${report.headerBytes} bytes`],
  ];
  if (complete !== undefined) {
    const parts = isDrawing(report)
      ? `a drawing of ${report.width * report.height * 3} samples, without steps`
      : steps === undefined
        ? 'no steps'
        : `${stepsComplete} of ${counted(steps.length - 1, 'step')}`;
    fields.push([
      'state',
      complete
        ? `complete, ${parts}${trailingBytes > 0 ? `, and ${counted(trailingBytes, 'byte')} after its end` : ''}`
        : `truncated: ${parts}, whole file ${bytesWhenComplete ?? 'of unknown'} bytes`,
    ]);
  }
  if (damaged.length > 0) fields.push(['damaged', damaged.map((part) => PARTS[part]).join(', ')]);
  if (isDrawing(report)) fields.push(['can be cut', `at any byte from ${report.headerBytes + report.alphaBytes!} on`]);
  const lines = table(fields, [0, 1]);
  if (steps === undefined || isDrawing(report)) return lines;
  const rows = steps.map(({ t, bits, bytes, bitsPerDim }, i) => [
    i > 0 ? String(i) : report.alpha ? 'header, alpha' : 'header',
    String(t),
    String(bits),
    String(bytes),
    bitsPerDim.toFixed(4),
    bytes <= report.bytes ? '' : 'missing',
  ]);
  return [...lines, '', ...table([['step', 't', 'bits', 'bytes', 'bits/dim', ''], ...rows], [5])];
}

function describeAlpha({ headerBytes, alphaBytes, bytes }: InfoReport): string {
  if (alphaBytes === undefined) return 'alpha plane, not whole';
  return `alpha plane of ${alphaBytes} bytes${headerBytes + alphaBytes > bytes ? ', not whole: decodes as opaque' : ''}`;
}

/** Whether a file has no steps, so that there is nothing to print about them. */
function isDrawing({ samples }: InfoReport): boolean {
  return samples?.kind === 'drawing';
}

/** Describes what follows the steps. */
function describeSamples({ tail, samples }: InfoReport): string {
  if (!tail) return 'none';
  if (samples === undefined) return 'follow the steps';
  const kind = samples.kind === 'drawing' ? 'as a drawing' : 'as residuals';
  if (samples.lossless) return `lossless, ${kind}`;
  return samples.step === 1 ? kind : `${kind}, new values in steps of ${samples.step} levels`;
}
