/**
 * Compiles trellis.ts and writes it, in base64, to src/codec/trellis/trellis-wasm.ts, which is part of the repository: nobody needs the
 * compiler to use the codec. A test compiles it again and compares.
 *
 *   npm run build:kernels
 */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const place = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const COMPILED = place('../src/codec/trellis/trellis-wasm.ts');

/** @returns {Promise<string>} the compiled module in base64 */
export async function compile() {
  /** @type {Uint8Array | undefined} */
  let binary;
  const options = ['-O3', '--converge', '--noAssert', '--runtime', 'stub', '--enable', 'simd'];
  const { error, stderr } = await asc.main([place('trellis.ts'), ...options, '--outFile', 'trellis.wasm'], {
    writeFile: (name, contents) => {
      if (name.endsWith('.wasm')) binary = /** @type {Uint8Array} */ (contents);
    },
  });
  if (error || !binary) throw new Error(`${error?.message}\n${stderr}`);
  return Buffer.from(binary).toString('base64');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lines = (await compile()).match(/.{1,110}/g) ?? [];
  await writeFile(
    COMPILED,
    `/** Compiled from assembly/trellis.ts by \`npm run build:kernels\`, in base64. */\nexport const TRELLIS_WASM =\n${lines
      .map((line) => `  '${line}'`)
      .join(' +\n')};\n`,
  );
}
