/**
 * Decodes a file while it is downloaded, and writes a picture whenever as much again has come.
 *
 *   node watch.mjs URL DIRECTORY
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePng, openDecoder, openEngine, openModelFor } from 'ddpm-codec';

const [url, directory] = process.argv.slice(2);
await mkdir(directory, { recursive: true });
const { body, ok, status } = await fetch(url);
if (!ok || !body) throw new Error(`${url}: HTTP ${status}`);
const reader = body.getReader();

// The header says which model the file needs. It fits into 256 bytes.
let head = new Uint8Array();
while (head.length < 256) {
  const { done, value } = await reader.read();
  if (done) break;
  head = Uint8Array.from([...head, ...value]);
}
const engine = await openEngine();
const decoder = openDecoder(await openModelFor(head, engine));

let shown = 0;
/** @param {import('ddpm-codec').DecoderPoint} point */
async function show(point) {
  shown = point.bytesUsed;
  const { image } = await point.reconstruct();
  const name = `${String(shown).padStart(8, '0')}.png`;
  await writeFile(join(directory, name), await encodePng(image));
  console.log(`${name}: ${point.bitsPerDim.toFixed(4)} bits/dim`);
}

for (let chunk = head; chunk; chunk = (await reader.read()).value) {
  for await (const point of decoder.push(chunk)) if (point.bytesUsed >= 2 * shown) await show(point);
}
const last = decoder.end();
if (last.bytesUsed > shown) await show(last);
await engine.dispose();
