/** The fuzz targets: for each format, how its inputs are made and what reads them. */

/**
 * @typedef {object} Target
 * @property {string} extension of a file holding an input
 * @property {(draws: import('./draws.mjs').Draws) => Uint8Array} make the input of a case
 * @property {(bytes: Uint8Array) => string | Promise<string>} run reads the input as the program does, and returns the kind of outcome
 * @property {() => unknown} [close]
 */

/**
 * @typedef {object} Entry
 * @property {string} what
 * @property {() => Promise<Target>} open
 * @property {number} [mostMiB] memory that the process may use; default {@link MOST_MIB}
 */

/** MiB that a process reading foreign files may use. */
export const MOST_MIB = 300;

/** @type {Readonly<Record<string, Entry>>} */
export const targets = {
  parse: { what: 'coded files: header, steps, truncation', open: async () => (await import('./ddc.mjs')).openParse() },
  decode: {
    what: 'coded files, decoded whole',
    open: async () => (await import('./ddc.mjs')).openDecode(),
    // This target compiles networks for windows of several sizes.
    mostMiB: 900,
  },
  safetensors: { what: 'weights', open: async () => (await import('./networks.mjs')).openSafetensors() },
  pickle: { what: 'PyTorch files', open: async () => (await import('./networks.mjs')).openPickle() },
  npz: { what: 'archives of NumPy', open: async () => (await import('./networks.mjs')).openNpz() },
  checkpoint: { what: 'checkpoints of training', open: async () => (await import('./networks.mjs')).openCheckpoint() },
  'update-checkpoint': {
    what: "checkpoints of an update's training",
    open: async () => (await import('./networks.mjs')).openUpdateCheckpoint(),
  },
  config: { what: 'config.json', open: async () => (await import('./documents.mjs')).openConfig() },
  codec: { what: 'codec.json', open: async () => (await import('./documents.mjs')).openCodec() },
  scheduler: { what: 'scheduler_config.json', open: async () => (await import('./documents.mjs')).openScheduler() },
  shards: { what: 'indexes of weights in shards', open: async () => (await import('./documents.mjs')).openShards() },
  run: { what: 'run.json of a report', open: async () => (await import('./documents.mjs')).openRun() },
  image: { what: 'the file of an image of a report', open: async () => (await import('./documents.mjs')).openImage() },
  hub: { what: 'answers of a hub', open: async () => (await import('./documents.mjs')).openHub() },
};
