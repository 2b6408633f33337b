/** Figures as files: SVG as it is drawn, PNG, or TikZ for LaTeX. */
import { extname } from 'node:path';
import sharp from 'sharp';
import { CodecError } from '../common/errors.js';
import { tikzPicture } from './tikz.js';

export const FIGURE_FORMATS = ['svg', 'png', 'tex'] as const;
export type FigureFormat = (typeof FIGURE_FORMATS)[number];

/** Pixels of a PNG per pixel of the SVG. */
const ZOOM = 2;

/**
 * The format that a file name asks for.
 * @throws CodecError `usage` for any other extension
 */
export function figureFormat(path: string): FigureFormat {
  const extension = extname(path).toLowerCase();
  const format = FIGURE_FORMATS.find((one) => extension === `.${one}`);
  if (format !== undefined) return format;
  throw new CodecError('usage', `${path}: figures are written as .svg, .png or .tex`);
}

/** The bytes of a figure's file. */
export async function encodeFigure(svg: string, format: FigureFormat): Promise<Uint8Array> {
  if (format === 'svg') return Buffer.from(svg);
  if (format === 'tex') return Buffer.from(tikzPicture(svg));
  return sharp(Buffer.from(svg), { density: 72 * ZOOM })
    .png()
    .toBuffer();
}
