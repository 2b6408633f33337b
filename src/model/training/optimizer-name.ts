/** The names of the optimisers, in a file of their own because help texts need only these. */

export const OPTIMIZERS = ['adam', 'muon'] as const;
/** `muon` uses Muon for the matrices of hidden layers and Adam for everything else. */
export type OptimizerName = (typeof OPTIMIZERS)[number];
