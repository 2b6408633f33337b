/** What an engine and its workers say to each other. */

/** First message: what the worker computes on. */
export interface EngineSetup {
  readonly device: 'cpu' | 'webgpu';
  /** A small graph, by which ONNX Runtime is started, and the device tried: [1] -> [1]. */
  readonly probe: Uint8Array;
}

/** A run of a graph. */
export interface GraphRequest {
  readonly graph: number;
  /** The graph itself, where this thread does not have it yet. */
  readonly model?: Uint8Array;
  readonly inputShapes: readonly (readonly number[])[];
  readonly outputShapes: readonly (readonly number[])[];
  readonly inputs: readonly Float32Array[];
}

/** A graph that is not needed any more. */
export interface GraphRelease {
  readonly release: number;
}
