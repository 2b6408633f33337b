/** Loads onnxruntime-node, which is an optional dependency. */
import { createRequire } from 'node:module';
import { CodecError } from '../../common/errors.js';
import './no-telemetry.js';

/** Allowed numbers of threads. */
export const THREADS = { type: 'number', integer: true, least: 1, most: 1024 } as const;

export interface OnnxRuntime {
  readonly ort: typeof import('onnxruntime-node');
  readonly version: string;
}

/**
 * @param need what needs it, for the message
 * @param instead alternatives, for the message
 * @throws CodecError('engine') when it is not installed or does not load here
 */
export async function loadOnnxRuntime(need: string, instead = ''): Promise<OnnxRuntime> {
  const ort = await import('onnxruntime-node').catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new CodecError(
      'engine',
      // Its install script fetches CUDA libraries. If that fails, npm leaves the optional package out.
      `${need} needs the package onnxruntime-node, which does not load here (${reason}); run "npm install --ignore-scripts onnxruntime-node"${instead}`,
      { cause },
    );
  });
  // It would report at length what its errors say, and keeps the level of the first session.
  ort.env.logLevel = 'fatal';
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
  return { ort, version };
}
