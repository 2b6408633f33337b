/** ONNX files that the user brings: opening them, and giving them pictures. */
import type { InferenceSession } from 'onnxruntime-node';
import { checkOption, checkText } from '../common/arguments.js';
import { CodecError } from '../common/errors.js';
import type { RgbImage } from '../image/image.js';
import { loadOnnxRuntime, type OnnxRuntime, THREADS } from '../node/engine/onnx-runtime.js';
import { checkReadable } from '../node/read.js';

export const CHANNELS = 3;

export interface OnnxFile {
  readonly ort: OnnxRuntime['ort'];
  readonly session: InferenceSession;
}

/**
 * Opens a network.
 * @param need what needs it, for the message where onnxruntime-node is missing
 * @throws CodecError 'file' when there is no such file; 'model' when it is not an ONNX network that can run; 'engine'
 *   without onnxruntime-node
 */
export async function openOnnxFile(path: string, need: string, threads?: number): Promise<OnnxFile> {
  checkText('path', path);
  checkOption('threads', THREADS, threads);
  await checkReadable(path);
  const { ort } = await loadOnnxRuntime(need);
  const session = await ort.InferenceSession.create(path, {
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    logSeverityLevel: 3,
  }).catch((cause: unknown) => {
    throw new CodecError('model', `${path}: not an ONNX network that can be run: ${messageOf(cause)}`, { cause });
  });
  return { ort, session };
}

/**
 * Runs a network.
 * @throws CodecError 'model' when it fails
 */
export async function runOnnx(
  { session }: OnnxFile,
  path: string,
  feeds: InferenceSession.FeedsType,
): Promise<InferenceSession.OnnxValueMapType> {
  return session.run(feeds).catch((cause: unknown) => {
    const dims = Object.values(feeds).map((tensor) => `[${tensor.dims}]`);
    throw new CodecError('model', `${path}: failed on ${dims.join(' and ')}: ${messageOf(cause)}`, { cause });
  });
}

/** Writes a picture into a batch, as RGB from 0 to 1. @param index of the picture in the batch */
export function writePicture(
  { width, height, data }: RgbImage,
  layout: 'NCHW' | 'NHWC',
  into: Float32Array,
  index = 0,
): void {
  const pixels = width * height;
  const start = index * pixels * CHANNELS;
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < CHANNELS; c++) {
      into[start + (layout === 'NCHW' ? c * pixels + i : i * CHANNELS + c)] = data[i * CHANNELS + c] / 255;
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
