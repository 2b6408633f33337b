/** Work that takes seconds or longer: how it tells how far it is, and how it is ended. */
export interface WorkOptions {
  /** Share of the work done, 0..1. */
  readonly onProgress?: (fraction: number) => void;
  /** Ends the work: no evaluation of the network is begun after it is aborted, and the promise rejects with its reason. */
  readonly signal?: AbortSignal;
}
