/**
 * Figures for LaTeX: converts our SVG to a TikZ picture, so that LaTeX sets the text in the document's font. The
 * picture is as wide as the line. It supports only what our figures use (`chart.ts`, `line-plot.ts`, `panel.ts`,
 * `scatter-plot.ts`).
 */
import { asLatex } from './latex.js';

type Attributes = Readonly<Record<string, string>>;

/** Attributes that children inherit. */
interface Style {
  readonly anchor: string;
  readonly fontSize: number;
  readonly fill: string;
}

const ANCHORS: Readonly<Record<string, string>> = { start: 'base west', middle: 'base', end: 'base east' };
const NAMED: Readonly<Record<string, string>> = { white: '#ffffff', black: '#000000' };

/** @throws Error for anything but a figure of ours */
export function tikzPicture(svg: string): string {
  const body = elementsOf(svg);
  const [root] = body;
  if (root?.name !== 'svg') throw new Error('expected an SVG figure');
  const { width, height } = root.attributes;
  const lines: string[] = [];
  const clips = new Map<string, string>();
  draw(root, { anchor: 'start', fontSize: 16, fill: '#000000' }, lines, clips);
  return `% Needs \\usepackage{tikz}; as wide as the line. Coordinates are the figure's pixels.
\\begingroup
\\newdimen\\figurepixel
\\figurepixel=\\dimexpr\\linewidth/${Math.ceil(Number(width))}\\relax
\\begin{tikzpicture}[x=\\figurepixel, y=-\\figurepixel, inner sep=0pt, outer sep=0pt, line join=round]
\\useasboundingbox (0,0) rectangle (${width},${height});
${lines.join('\n')}
\\end{tikzpicture}%
\\endgroup
`;
}

interface Element {
  readonly name: string;
  readonly attributes: Attributes;
  readonly children: Element[];
  /** Content of a text element. */
  text: string;
}

/** Elements of an SVG that `markup` made: it has no comments, and only numeric character references. */
function elementsOf(svg: string): Element[] {
  const root: Element = { name: '', attributes: {}, children: [], text: '' };
  const open = [root];
  for (const [, closing, name, attributes, empty, text] of svg.matchAll(
    /<(\/?)([a-zA-Z]+)((?:\s+[\w:-]+="[^"]*")*)\s*(\/?)>|([^<]+)/g,
  )) {
    const here = open[open.length - 1];
    if (text !== undefined) here.text += unescaped(text);
    else if (closing) open.pop();
    else {
      const element: Element = { name, attributes: attributesOf(attributes), children: [], text: '' };
      here.children.push(element);
      if (!empty) open.push(element);
    }
  }
  return root.children;
}

function attributesOf(text: string): Attributes {
  return Object.fromEntries(
    [...text.matchAll(/([\w:-]+)="([^"]*)"/g)].map(([, name, value]) => [name, unescaped(value)]),
  );
}

function unescaped(text: string): string {
  return text.replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)));
}

function draw(
  { name, attributes, children, text }: Element,
  around: Style,
  lines: string[],
  clips: Map<string, string>,
) {
  const style: Style = {
    anchor: attributes['text-anchor'] ?? around.anchor,
    fontSize: Number(attributes['font-size'] ?? around.fontSize),
    fill: attributes.fill ?? around.fill,
  };
  const inside = () => {
    for (const child of children) draw(child, style, lines, clips);
  };
  switch (name) {
    case 'svg':
      return inside();
    case 'clipPath':
      clips.set(attributes.id, rectangle(children[0].attributes));
      return;
    case 'g': {
      const clip = /^url\(#(.+)\)$/.exec(attributes['clip-path'] ?? '')?.[1];
      lines.push(`\\begin{scope}${scopeOf(attributes.transform)}`);
      if (clip !== undefined) lines.push(`\\clip ${clips.get(clip)};`);
      inside();
      lines.push('\\end{scope}');
      return;
    }
    case 'rect':
      if (style.fill !== 'white') lines.push(`\\fill[${colour('fill', style.fill)}] ${rectangle(attributes)};`);
      return;
    case 'circle': {
      const { cx, cy, r } = attributes;
      lines.push(`\\fill[${colour('fill', style.fill)}] (${cx},${cy}) circle[radius=${r}\\figurepixel];`);
      return;
    }
    case 'path':
      lines.push(`\\draw[${strokeOf(attributes)}] ${pathOf(attributes.d)};`);
      return;
    case 'text': {
      const { x = '0', y = '0', transform } = attributes;
      const { shift, rotate } = transformOf(transform);
      const at = shift === undefined ? `(${x},${y})` : `(${shift})`;
      const options = [
        `anchor=${ANCHORS[style.anchor]}`,
        ...(rotate === undefined ? [] : [`rotate=${-rotate}`]),
        ...(style.fill === '#000000' ? [] : [colour('text', style.fill)]),
        `font=\\fontsize{${style.fontSize}\\figurepixel}{${style.fontSize}\\figurepixel}\\selectfont`,
      ];
      lines.push(`\\node[${options.join(', ')}] at ${at} {${asLatex(text)}};`);
      return;
    }
    default:
      throw new Error(`a figure has an element that is not known: ${name}`);
  }
}

function scopeOf(transform: string | undefined): string {
  const { shift } = transformOf(transform);
  return shift === undefined ? '' : `[shift={(${shift})}]`;
}

function transformOf(transform = ''): { shift?: string; rotate?: number } {
  const shift = /translate\(([-\d.]+),([-\d.]+)\)/.exec(transform);
  const rotate = /rotate\(([-\d.]+)\)/.exec(transform);
  return {
    ...(shift && { shift: `${shift[1]},${shift[2]}` }),
    ...(rotate && { rotate: Number(rotate[1]) }),
  };
}

function rectangle({ x = '0', y = '0', width, height }: Attributes): string {
  return `(${x},${y}) rectangle +(${width},${height})`;
}

function strokeOf({ stroke, 'stroke-width': thickness = '1', 'stroke-dasharray': dashes }: Attributes): string {
  const [on, off] = (dashes ?? '').split(' ');
  return [
    colour('draw', stroke),
    `line width=${thickness}\\figurepixel`,
    ...(dashes === undefined ? [] : [`dash pattern=on ${on}\\figurepixel off ${off}\\figurepixel`]),
  ].join(', ');
}

/** A path of straight lines. */
function pathOf(d: string): string {
  let [x, y] = [0, 0];
  let path = '';
  for (const [, command, numbers] of d.matchAll(/([a-zA-Z])([-\d.,]*)/g)) {
    const [a, b] = numbers.split(',').map(Number);
    switch (command) {
      case 'M':
      case 'L':
        [x, y] = [a, b];
        break;
      case 'H':
        x = a;
        break;
      case 'V':
        y = a;
        break;
      case 'h':
        x += a;
        break;
      case 'v':
        y += a;
        break;
      default:
        throw new Error(`a figure has a path that is not known: ${command}`);
    }
    path += command === 'M' ? ` (${x},${y})` : ` -- (${x},${y})`;
  }
  return path.trim();
}

/** @param what TikZ option: draw, fill or text */
function colour(what: string, value: string): string {
  const hex = NAMED[value] ?? value;
  const digits = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(hex)?.[1];
  if (digits === undefined) throw new Error(`a figure has a colour that is not known: ${value}`);
  const long = digits.length === 3 ? [...digits].map((digit) => digit + digit).join('') : digits;
  const [red, green, blue] = [0, 2, 4].map((i) => Number.parseInt(long.slice(i, i + 2), 16));
  return `${what}={rgb,255:red,${red};green,${green};blue,${blue}}`;
}
