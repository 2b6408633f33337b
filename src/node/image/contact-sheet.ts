/** Sheets of pictures: a grid with a label under each picture, or a table with labels for its rows and columns. */
import { CodecError } from '../../common/errors.js';
import { fromRgba } from '../../image/alpha.js';
import type { RgbImage, Size } from '../../image/image.js';
import { drawText, GLYPH_HEIGHT, textWidth } from './font.js';
import { toSharp } from './write.js';

export interface Tile {
  readonly image: RgbImage;
  /** One line under the picture, such as '0.12 bits/dim'; where all labels are empty, they take no room. */
  readonly label: string;
}

/** Pictures below this side are enlarged by the largest integer factor that keeps them within it. */
const SMALL_SIDE = 192;
/** Pictures above this side are scaled down to it, unless the caller has another limit. */
const LARGE_SIDE = 640;
/** The same limits for tables, which hold many pictures. */
const TABLE_SMALL_SIDE = 96;
const TABLE_LARGE_SIDE = 256;
const TABLE_GAP = 4;
/** Space around tiles, and between a picture and its label. */
const GAP = 12;
const LABEL_SCALE = 2;
const LABEL_HEIGHT = GLYPH_HEIGHT * LABEL_SCALE;
const PAPER = 255;
const INK = 32;

/**
 * Lays out tiles of equal size, row by row from the top left. Small pictures are enlarged by an integer factor
 * with every pixel kept as a square, large ones are scaled down; the sheet is white.
 * @param tiles at least one; pictures of any sizes
 * @param largeSide pixels above which a side is scaled down
 */
export async function contactSheet(tiles: readonly Tile[], largeSide = LARGE_SIDE): Promise<RgbImage> {
  if (tiles.length === 0) throw new CodecError('image', 'a contact sheet needs at least one picture');
  const pictures = await Promise.all(tiles.map((tile) => thumbnail(tile.image, largeSide)));
  const { width, height, columns, cellWidth, cellHeight, pictureHeight } = layGrid(
    pictures,
    tiles.map(({ label }) => label),
  );
  const sheet = blankSheet({ width, height }, pictures);

  tiles.forEach(({ label }, i) => {
    const left = GAP + (i % columns) * cellWidth;
    const top = GAP + Math.floor(i / columns) * cellHeight;
    const picture = pictures[i];
    // Pictures are aligned at the bottom, above their labels.
    paste(picture, sheet, left, top + pictureHeight - picture.height);
    writeLabel(label, sheet, left, top + pictureHeight + GAP / 2);
  });
  return sheet;
}

/** Size in pixels of the {@link contactSheet} of this many pictures of one size, without labels. */
export function contactSheetSize(count: number, picture: Size): Size {
  const { width, height } = layGrid(Array(count).fill(thumbnailSize(picture)), []);
  return { width, height };
}

function layGrid(pictures: readonly Size[], labels: readonly string[]) {
  const widths = [...pictures.map(({ width }) => width), ...labels.map((label) => textWidth(label, LABEL_SCALE))];
  const cellWidth = max(widths) + GAP;
  const pictureHeight = max(pictures.map(({ height }) => height));
  const labelHeight = labels.some((label) => label !== '') ? LABEL_HEIGHT + GAP : 0;
  const cellHeight = pictureHeight + labelHeight + GAP;
  const columns = gridColumns(pictures.length, cellWidth, cellHeight);
  const width = columns * cellWidth + GAP;
  const height = Math.ceil(pictures.length / columns) * cellHeight + GAP;
  return { width, height, columns, cellWidth, cellHeight, pictureHeight };
}

/** Avoids passing all values as arguments, since there may be too many. */
function max(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

/** Pictures of one size in rows. */
export interface Table {
  readonly rows: readonly (readonly RgbImage[])[];
  /** Labels to the left of the rows; optional. */
  readonly rowLabels?: readonly string[];
  /** Labels above the first columns. */
  readonly columnLabels: readonly string[];
}

/**
 * Lays out a table of pictures, which are scaled as on a contact sheet but less; the sheet is white. Of the labels,
 * only the longest of each kind affects its size.
 */
export async function labelledTable({ rows, rowLabels = [], columnLabels }: Table): Promise<RgbImage> {
  if (rows.length === 0) throw new CodecError('image', 'a table needs at least one row of pictures');
  const pictures = await Promise.all(
    rows.map((row) => Promise.all(row.map((image) => thumbnail(image, TABLE_LARGE_SIDE, TABLE_SMALL_SIDE)))),
  );
  const columns = max(rows.map((row) => row.length));
  const layout = layTable({ rows: rows.length, columns }, rows[0][0], { rowLabels, columnLabels });
  const { width, height, firstColumn, firstRow, cellWidth, cellHeight } = layout;
  const sheet = blankSheet({ width, height }, pictures.flat());
  const middle = Math.floor((pictures[0][0].height - LABEL_HEIGHT) / 2);
  columnLabels.forEach((label, i) => void writeLabel(label, sheet, firstColumn + i * cellWidth, GAP));
  pictures.forEach((row, y) => {
    const top = firstRow + y * cellHeight;
    writeLabel(rowLabels[y] ?? '', sheet, GAP, top + middle);
    row.forEach((picture, x) => void paste(picture, sheet, firstColumn + x * cellWidth, top));
  });
  return sheet;
}

/** A white sheet, opaque outside of transparent pictures. */
function blankSheet({ width, height }: Size, pictures: readonly RgbImage[]): RgbImage {
  const data = new Uint8Array(width * height * 3).fill(PAPER);
  const isTransparent = pictures.some(({ alpha }) => alpha !== undefined);
  return { width, height, data, ...(isTransparent && { alpha: new Uint8Array(width * height).fill(255) }) };
}

/** Size in pixels of the {@link labelledTable} with this many rows and columns of pictures of one size. */
export function tableSize(
  cells: { readonly rows: number; readonly columns: number },
  picture: Size,
  labels: Pick<Table, 'rowLabels' | 'columnLabels'>,
): Size {
  const { width, height } = layTable(cells, picture, labels);
  return { width, height };
}

function layTable(
  { rows, columns }: { readonly rows: number; readonly columns: number },
  picture: Size,
  { rowLabels = [], columnLabels }: Pick<Table, 'rowLabels' | 'columnLabels'>,
) {
  const shown = thumbnailSize(picture, TABLE_LARGE_SIDE, TABLE_SMALL_SIDE);
  const widthOf = (label: string) => textWidth(label, LABEL_SCALE) + GAP;
  const cellWidth = Math.max(shown.width + TABLE_GAP, max(columnLabels.map(widthOf)));
  const cellHeight = shown.height + TABLE_GAP;
  const firstColumn = GAP + max(rowLabels.map(widthOf));
  const firstRow = GAP + LABEL_HEIGHT + GAP / 2;
  const width = firstColumn + columns * cellWidth - TABLE_GAP + GAP;
  const height = firstRow + rows * cellHeight - TABLE_GAP + GAP;
  return { width, height, firstColumn, firstRow, cellWidth, cellHeight };
}

function writeLabel(label: string, sheet: RgbImage, left: number, top: number): void {
  drawText(label, LABEL_SCALE, (x, y) => {
    const at = ((top + y) * sheet.width + left + x) * 3;
    sheet.data.fill(INK, at, at + 3);
  });
}

/** The picture at its size on a sheet; the thumbnail of a thumbnail is the same. */
export async function thumbnail(image: RgbImage, largeSide = LARGE_SIDE, smallSide = SMALL_SIDE): Promise<RgbImage> {
  const size = thumbnailSize(image, largeSide, smallSide);
  return size.width < image.width || size.height < image.height ? shrunk(image, size) : enlarged(image, size);
}

function thumbnailSize({ width, height }: Size, largeSide = LARGE_SIDE, smallSide = SMALL_SIDE): Size {
  const side = Math.max(width, height);
  if (side <= largeSide) {
    const factor = Math.max(1, Math.floor(smallSide / side));
    return { width: width * factor, height: height * factor };
  }
  const scaled = (length: number) => Math.max(1, Math.round((length * largeSide) / side));
  return { width: scaled(width), height: scaled(height) };
}

async function shrunk(image: RgbImage, { width, height }: Size): Promise<RgbImage> {
  const data = await toSharp(image).resize(width, height, { fit: 'fill' }).raw().toBuffer();
  return image.alpha ? fromRgba(data, width) : { width, height, data };
}

function enlarged(image: RgbImage, { width, height }: Size): RgbImage {
  const factor = width / image.width;
  const data = new Uint8Array(width * height * 3);
  const alpha = image.alpha && new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(y / factor) * image.width;
    for (let x = 0; x < width; x++) {
      const from = row + Math.floor(x / factor);
      const to = y * width + x;
      data.set(image.data.subarray(3 * from, 3 * from + 3), 3 * to);
      if (alpha) alpha[to] = image.alpha![from];
    }
  }
  return { width, height, data, ...(alpha && { alpha }) };
}

function paste({ width, height, data, alpha }: RgbImage, sheet: RgbImage, left: number, top: number): void {
  for (let y = 0; y < height; y++) {
    const to = (top + y) * sheet.width + left;
    sheet.data.set(data.subarray(y * width * 3, (y + 1) * width * 3), 3 * to);
    if (alpha) sheet.alpha!.set(alpha.subarray(y * width, (y + 1) * width), to);
  }
}

/** The number of columns whose grid is closest to 3:2, with a preference for few empty cells. */
function gridColumns(count: number, cellWidth: number, cellHeight: number): number {
  let best = 1;
  let bestCost = Number.POSITIVE_INFINITY;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const shape = Math.abs(Math.log((columns * cellWidth) / (rows * cellHeight) / 1.5));
    const cost = shape + (rows * columns - count) / count;
    if (cost < bestCost) {
      best = columns;
      bestCost = cost;
    }
  }
  return best;
}
