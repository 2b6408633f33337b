/** The optimisers by name: apart from them, since help texts need no more. */

export const OPTIMIZERS = ['adam', 'muon'] as const;
/** `muon` is Muon for the matrices of hidden layers and Adam for all else. */
export type OptimizerName = (typeof OPTIMIZERS)[number];
