/** The commands, in the order of the help. */
import type { CommandModule } from 'yargs';
import { dataCommand } from './data/data.js';
import { decodeCommand } from './decode/decode.js';
import { doctorCommand } from './doctor/doctor.js';
import { encodeCommand } from './encode/encode.js';
import { evalCommand } from './eval/eval.js';
import { infoCommand } from './file/info.js';
import { truncateCommand } from './file/truncate.js';
import { verifyCommand } from './file/verify.js';
import { modelCommand } from './model/model.js';
import { pageCommand } from './page/page.js';
import { rdCommand } from './rd/rd.js';
import { interpolateCommand } from './sample/interpolate.js';
import { sampleCommand } from './sample/sample.js';
import { calibrateCommand } from './train/calibrate.js';
import { trainCommand } from './train/train.js';

export const COMMANDS = [
  encodeCommand,
  decodeCommand,
  infoCommand,
  truncateCommand,
  verifyCommand,
  pageCommand,
  sampleCommand,
  interpolateCommand,
  trainCommand,
  dataCommand,
  calibrateCommand,
  modelCommand,
  evalCommand,
  rdCommand,
  doctorCommand,
] as unknown as readonly CommandModule[];

/** A command's name: the first word of its usage. */
export function nameOf({ command }: CommandModule): string {
  return String(command).split(' ')[0];
}
