/** `decode --rate` with several rates: one pass over a file, a picture for each. */
import { basename, dirname, extname, join } from 'node:path';
import type { DecodePoint } from '../../codec/api.js';
import { invalidArgument } from '../../common/errors.js';
import { encodeImage } from '../../node/image/write.js';
import { asNumber, positive } from '../args.js';
import { type Job, outputsOf } from '../jobs.js';
import { formatOf, type WriteOptions, writeResult } from '../output.js';
import type { PointReport } from './progressive.js';

/** A rate in bits per dimension, with its typed form for the name of its picture. */
export interface Rate {
  readonly value: number;
  readonly text: string;
}

/**
 * Checks `--rate`: one rate, or several separated by commas. They are returned in ascending order.
 * @throws CodecError `usage` for anything that is not a rate, and for duplicates
 */
export function readRates(typed: unknown): readonly Rate[] {
  if (typed === undefined) return [];
  const rates = String(typed)
    .split(',')
    .map((part) => part.trim())
    .map((text) => ({ text, value: positive('--rate', asNumber(text), 'bits per dimension')! }))
    .sort((a, b) => a.value - b.value);
  const values = new Set(rates.map(({ value }) => value));
  if (values.size < rates.length) throw invalidArgument('--rate', 'each rate once', typed);
  return rates;
}

/** Name of the picture at one of several rates: `a.png` becomes `a-0.05.png`. */
export function nameAtRate(output: string, { text }: Rate): string {
  const extension = extname(output);
  return join(dirname(output), `${basename(output, extension)}-${text}${extension}`);
}

/** The picture at one of several rates. */
export interface RateReport extends PointReport {
  /** The requested rate, in bits per dimension. */
  readonly rate: number;
}

/** Writes the pictures in the order of their arrival. */
export interface PicturesAtRates {
  /** Takes the picture of the file truncated at the next of the sizes, or of the whole file where it is shorter. */
  add(point: DecodePoint): Promise<void>;
  /** Call this at the end: the last picture also stands for sizes beyond the end of the file. */
  finish(): Promise<RateReport[]>;
}

/**
 * Opens the outputs of a job, one for each rate, even where the file is too short for two of them to differ.
 * @param sizes of the rates, in bytes
 */
export function picturesAtRates(
  job: Job,
  rates: readonly Rate[],
  sizes: readonly number[],
  options: WriteOptions,
): PicturesAtRates {
  const outputs = outputsOf(job);
  const waiting = [...new Set(sizes)];
  const reports: RateReport[] = [];
  let last: DecodePoint;
  const write = async (most: number) => {
    if (!(sizes[reports.length] <= most)) return;
    const data = await encodeImage(last.image, formatOf(job.output));
    while (sizes[reports.length] <= most) {
      const { bytesUsed, stepsUsed, t, bitsPerDim, alpha } = last;
      const output = outputs[reports.length];
      await writeResult(output, data, options);
      reports.push({ rate: rates[reports.length].value, output, bytesUsed, stepsUsed, t, bitsPerDim, alpha });
    }
  };
  return {
    async add(point) {
      last = point;
      await write(waiting.shift()!);
    },
    async finish() {
      await write(Number.POSITIVE_INFINITY);
      return reports;
    },
  };
}

/** Reads all of a stream, or its first `most` bytes. */
export async function collect(stream: AsyncIterable<Uint8Array>, most: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= most) break;
  }
  return Buffer.concat(chunks).subarray(0, most);
}
