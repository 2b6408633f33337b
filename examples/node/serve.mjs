/**
 * Serves the .ddc files of a directory at any rate: each file is stored once, and every client gets as much of it as it asks for.
 *
 *   node serve.mjs DIRECTORY [PORT]
 *   curl 'localhost:8080/photo.ddc?rate=0.05' -o small.ddc      # its beginning, of 0.05 bits/dim at most
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';
import { CodecError, readInfo, truncate } from 'ddpm-codec';

const [directory = '.', port = '8080'] = process.argv.slice(2);

const server = createServer(async (request, response) => {
  try {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    // No way out of the directory.
    const file = await readFile(join(directory, basename(decodeURIComponent(pathname))));
    const { width, height } = readInfo(file);
    const rate = Number(searchParams.get('rate') ?? Number.POSITIVE_INFINITY);
    const most = Math.min(file.length, Math.floor((rate * width * height * 3) / 8));
    const beginning = truncate(file, most);
    response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(beginning);
  } catch (error) {
    const isTooLow = error instanceof CodecError && error.code === 'usage';
    response.writeHead(isTooLow ? 400 : 404).end(`${error instanceof CodecError ? error.message : 'no such file'}\n`);
  }
});
server.listen(Number(port), '127.0.0.1', () => {
  const address = server.address();
  console.log(`http://127.0.0.1:${typeof address === 'object' ? address?.port : port}`);
});
