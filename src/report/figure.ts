/** Figures as files: SVG as it is drawn, or PNG. */
import { extname } from 'node:path';
import sharp from 'sharp';
import { CodecError } from '../common/errors.js';

export type FigureFormat = 'svg' | 'png';

/** Pixels of a PNG for each of the SVG's. */
const ZOOM = 2;

/**
 * The format a file name asks for.
 * @throws CodecError `usage` when its extension is neither .svg nor .png
 */
export function figureFormat(path: string): FigureFormat {
  const extension = extname(path).toLowerCase();
  if (extension === '.svg' || extension === '.png') return extension.slice(1) as FigureFormat;
  throw new CodecError('usage', `${path}: figures are written as .svg or .png`);
}

/** The bytes of a figure's file. */
export async function encodeFigure(svg: string, format: FigureFormat): Promise<Uint8Array> {
  const bytes = Buffer.from(svg);
  return format === 'svg'
    ? bytes
    : sharp(bytes, { density: 72 * ZOOM })
        .png()
        .toBuffer();
}
