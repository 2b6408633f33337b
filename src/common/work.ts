/** Options of work that takes seconds or longer: progress and cancellation. */
export interface WorkOptions {
  /** Fraction of the work done, 0..1. */
  readonly onProgress?: (fraction: number) => void;
  /** Cancels the work: after the abort no evaluation of the network starts, and the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}
