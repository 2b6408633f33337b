/** What an engine and its workers say to each other. */
import type { OnnxGraph } from '../engine/onnx-session.js';

/** First message: what the worker computes on. */
export interface EngineSetup {
  readonly device: 'cpu' | 'webgpu';
  /** A small graph that adds 1, by which ONNX Runtime is started, and the device tried. */
  readonly probe: OnnxGraph;
}

/** A run of a graph. */
export interface GraphRequest {
  readonly graph: number;
  /** The graph itself, where this thread does not have it yet. */
  readonly made?: OnnxGraph;
  readonly inputs: readonly Float32Array[];
}

/** A graph that is not needed any more. */
export interface GraphRelease {
  readonly release: number;
}
