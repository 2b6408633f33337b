/** `ddpm-codec page`: the codec in a browser. */
import { spawn } from 'node:child_process';
import { basename, dirname, join } from 'node:path';
import type { Arguments, CommandModule } from 'yargs';
import { RELEASED_MODELS } from '../../codec/format/released-models.js';
import { DEFAULT_MODELS } from '../../codec/model-choice.js';
import { CodecError, invalidArgument } from '../../common/errors.js';
import { makeDirectory } from '../../node/files.js';
import type { PageFile } from '../../node/page.js';
import { stopInOrder } from '../../node/process.js';
import { readRegularFile } from '../../node/read.js';
import { numberOption, type OutputArgs, outputOptions } from '../args.js';
import { openConsole } from '../console.js';
import { checkWritable, writeAtomically } from '../output.js';
import { STANDARD_STREAM } from '../streams.js';

interface PageArgs extends OutputArgs {
  readonly file?: string;
  readonly output?: string;
  readonly port: unknown;
  readonly open: boolean;
  readonly models: string;
}

const MOST_PORT = 65535;
/** All released models, so that the page opens their files; those for new files first. */
const PAGE_MODELS = [...new Set([...DEFAULT_MODELS, ...RELEASED_MODELS.map(({ name }) => name)])];

export const pageCommand: CommandModule<object, PageArgs> = {
  command: 'page [file]',
  describe: 'Encode and decode in a browser',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 page [file] [options]\n\n' +
          'Serves a page to this machine and opens it: pictures that are dropped there are encoded, .ddc files decoded, all in the\n' +
          'browser. With --output it is written into a directory that any web server can give, GitHub Pages among them.',
      )
      .positional('file', { type: 'string', description: 'A .ddc file to show' })
      .options({
        output: {
          alias: 'o',
          type: 'string',
          requiresArg: true,
          description: 'Write the page into this directory instead',
        },
        port: numberOption('Port to serve at; 0 is any that is free', { default: 0 }),
        open: { type: 'boolean', default: true, description: 'Open the browser' },
        models: {
          type: 'string',
          requiresArg: true,
          default: PAGE_MODELS.join(),
          description: 'Models that the page has, each loaded when it is needed: names or directories',
        },
        ...outputOptions,
      } as const)
      .example('$0 page', 'serve the page until Ctrl-C, and open it')
      .example('$0 page photo.ddc', 'show a file')
      .example('$0 page -o public/', 'write it for a web server') as never,
  handler: page,
};

async function page(args: Arguments<PageArgs>): Promise<void> {
  const { port } = args;
  if (!(Number.isInteger(port) && (port as number) >= 0 && (port as number) <= MOST_PORT)) {
    throw invalidArgument('--port', `an integer from 0 to ${MOST_PORT}`, port);
  }
  const { pageFiles } = await import('../../node/page.js');
  const models = args.models.split(',').map((name) => name.trim());
  if (models.includes('')) throw invalidArgument('--models', 'names or directories with commas between', args.models);
  if (args.output === STANDARD_STREAM) throw new CodecError('usage', '-o -: expected the name of a directory');
  const files = await pageFiles(models);
  const shown = args.file === undefined ? '' : await addFile(files, args.file);
  if (args.output === undefined) await serve(files, shown, port as number, args);
  else await write(files, shown, args.output, args);
}

/** @returns the query that makes the page show the file */
async function addFile(files: Map<string, PageFile>, path: string): Promise<string> {
  const bytes = await readRegularFile(path);
  const name = basename(path);
  files.set(`files/${name}`, { type: 'application/octet-stream', read: async () => bytes });
  // The file's address is encoded twice: it is an address within an address.
  return `?file=${encodeURIComponent(`files/${encodeURIComponent(name)}`)}`;
}

async function write(
  files: ReadonlyMap<string, PageFile>,
  query: string,
  directory: string,
  args: PageArgs,
): Promise<void> {
  const console = openConsole(args);
  const outputs = [...files].map(([path, file]) => ({ path: join(directory, path), file }));
  for (const parent of new Set(outputs.map(({ path }) => dirname(path)))) await makeDirectory(parent);
  for (const { path } of outputs) await checkWritable(path, args);
  let bytes = 0;
  for (const { path, file } of outputs) {
    const data = await file.read();
    bytes += data.length;
    await writeAtomically(path, data, args);
  }
  const page = `index.html${query}`;
  console.document({ directory, page, files: outputs.length, bytes, models: args.models });
  const shows = query && `; ${page} shows the file`;
  console.result(
    `${directory}: ${outputs.length} files, ${(bytes / 2 ** 20).toFixed(1)} MB, for any web server${shows}`,
  );
}

async function serve(files: ReadonlyMap<string, PageFile>, query: string, port: number, args: PageArgs): Promise<void> {
  const console = openConsole(args);
  const { servePage } = await import('../../node/page-server.js');
  const server = await servePage(files, port);
  const url = server.url + query;
  console.document({ url, models: args.models });
  console.result(`${url} until Ctrl-C`);
  if (args.open) openBrowser(url);
  await new Promise<void>((resolve) => {
    stopInOrder(resolve, () => {});
  });
  await server.close();
}

/** Does nothing without a browser or a screen: the address is printed anyway. */
function openBrowser(url: string): void {
  const [command, ...args] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? ['rundll32', 'url.dll,FileProtocolHandler', url]
        : ['xdg-open', url];
  const child = spawn(command, args, { stdio: 'ignore', detached: true });
  child.on('error', () => {});
  child.unref();
}
