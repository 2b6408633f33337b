/** The page: a picture is encoded, a file is decoded. */
import { type RgbImage, readPicture } from 'ddpm-codec/browser';
import { decodeFile, decodeUrl } from './decode.js';
import { halved } from './drawing.js';
import { button } from './elements.js';
import { encodePicture } from './encode.js';
import { onFile } from './intake.js';
import { run, stop } from './jobs.js';
import { onAgain, readSettings } from './settings.js';
import { closeViewer } from './viewer.js';
import { baseName } from './words.js';

/** The last picture, for encoding it again. */
let picture: { readonly name: string; readonly image: RgbImage } | undefined;

onFile((file) => {
  void run(async (signal) => {
    closeViewer();
    const head = new Uint8Array(await file.slice(0, 2).arrayBuffer());
    signal.throwIfAborted();
    if (file.name.endsWith('.ddc') || isCodecFile(head)) {
      setPicture(undefined);
      const bytes = new Uint8Array(await file.arrayBuffer());
      signal.throwIfAborted();
      await decodeFile(baseName(file.name), bytes, signal);
    } else {
      const image = await readPicture(file);
      signal.throwIfAborted();
      setPicture({ name: baseName(file.name), image });
      encode();
    }
  });
});
onAgain(encode);

const address = new URLSearchParams(location.search).get('file');
if (address !== null) void run((signal) => decodeUrl(address, signal));

function encode(): void {
  const settings = readSettings();
  const given = picture;
  if (!given || !settings) return;
  const half = () => {
    setPicture({ name: given.name, image: halved(given.image) });
    encode();
  };
  void run((signal) => encodePicture(given.name, given.image, settings, { half, cancel: stop }, signal));
}

function setPicture(given: typeof picture): void {
  picture = given;
  button('again').hidden = given === undefined;
}

/** Checks for the magic number, with any version. */
function isCodecFile([first, second]: Uint8Array): boolean {
  return first === 0xdd && second >> 4 === 0xc;
}
