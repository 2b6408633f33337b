/** Messages between an engine and its workers. */
import type { OnnxGraph } from '../engine/onnx-session.js';

/** First message: what the worker computes on. */
export interface EngineSetup {
  readonly device: 'cpu' | 'webgpu';
  /** A small graph that adds 1; it starts ONNX Runtime and tests the device. */
  readonly probe: OnnxGraph;
}

/** A run of a graph. */
export interface GraphRequest {
  readonly graph: number;
  /** The graph itself, unless this thread has it already. */
  readonly made?: OnnxGraph;
  readonly inputs: readonly Float32Array[];
}

/** Releases a graph that is no longer needed. */
export interface GraphRelease {
  readonly release: number;
}
