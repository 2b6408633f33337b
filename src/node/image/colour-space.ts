/** RGB colour spaces: their primaries, and the conversion of samples to linear light. */

/** Chromaticity x, y (CIE 1931). */
export type Chromaticity = readonly [number, number];

/** Chromaticities of full red, green and blue, and of all three together. */
export interface Primaries {
  readonly white: Chromaticity;
  readonly red: Chromaticity;
  readonly green: Chromaticity;
  readonly blue: Chromaticity;
}

export interface ColourSpace {
  readonly primaries: Primaries;
  /** Linear light of a sample; both are in 0..1. */
  readonly linear: (sample: number) => number;
}

export const D65: Chromaticity = [0.3127, 0.329];

/** IEC 61966-2-1. */
export const SRGB: ColourSpace = {
  primaries: { white: D65, red: [0.64, 0.33], green: [0.3, 0.6], blue: [0.15, 0.06] },
  linear: (sample) => (sample <= 0.04045 ? sample / 12.92 : ((sample + 0.055) / 1.055) ** 2.4),
};

export const DISPLAY_P3: ColourSpace = {
  primaries: { white: D65, red: [0.68, 0.32], green: [0.265, 0.69], blue: [0.15, 0.06] },
  linear: SRGB.linear,
};

/** Whether colours can be mixed from these chromaticities: they are in range, and not collinear. */
export function arePrimaries({ white, red, green, blue }: Primaries): boolean {
  const inRange = [white, red, green, blue].flat().every((value) => value >= 0 && value <= 1);
  const area = (green[0] - red[0]) * (blue[1] - red[1]) - (blue[0] - red[0]) * (green[1] - red[1]);
  return inRange && white[1] > 0 && Math.abs(area) > 1e-6;
}
