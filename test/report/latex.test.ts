import { describe, expect, it } from 'vitest';
import { asLatex, latexTable } from '../../src/report/latex.js';
import { type LinePlot, linePlot } from '../../src/report/line-plot.js';
import { panelFigure } from '../../src/report/panel.js';
import { scatterPlot } from '../../src/report/scatter-plot.js';
import { markdownTable } from '../../src/report/text-table.js';
import { tikzPicture } from '../../src/report/tikz.js';

const TABLE = {
  title: 'A_title',
  note: '100 % of it',
  head: ['codec', 'PSNR, %'],
  rows: [
    ['a & b|c', '-1.5'],
    ['–', '+2.0 ± 0.1'],
  ],
};

it('no text acts on LaTeX', () => {
  expect(asLatex('\\input{x} $a_1^2$ 50% #1 ~ "q"')).toBe(
    '\\textbackslash{}input\\{x\\} \\$a\\_1\\textasciicircum{}2\\$ 50\\% \\#1 \\textasciitilde{} \\textquotedbl{}q\\textquotedbl{}',
  );
  expect(asLatex('ü ± – 数')).toBe('ü $\\pm$ -- ?');
  expect(asLatex('a\nb')).not.toContain('\n');
});

it('a table for LaTeX has rules of booktabs, and minus signs', () => {
  expect(latexTable(TABLE)).toBe(`% A\\_title
% 100 \\% of it
\\begin{tabular}{@{}lr@{}}
\\toprule
codec & PSNR, \\% \\\\
\\midrule
a \\& b\\textbar{}c & $-$1.5 \\\\
-- & +2.0 $\\pm$ 0.1 \\\\
\\bottomrule
\\end{tabular}
`);
});

it('no row of a table is an option of the line before', () => {
  const rows = ['[1].png', '*.png', 'a[*].png', '-1'].map((name) => [name, '[*']);
  expect(latexTable({ ...TABLE, rows })).toContain(`\\midrule
{[}1].png & [* \\\\
{*}.png & [* \\\\
a[*].png & [* \\\\
$-$1 & [* \\\\
\\bottomrule`);
});

it('a table in Markdown has its title and note', () => {
  expect(markdownTable(TABLE)).toBe(`**A_title**

| codec | PSNR, % |
|---|---:|
| a & b\\|c | -1.5 |
| – | +2.0 ± 0.1 |

100 % of it
`);
});

describe('tikzPicture', () => {
  const plot: LinePlot = {
    title: 'A & B_1',
    x: { title: 'x', type: 'linear', domain: [0, 2] },
    y: { title: 'y, %', type: 'linear', domain: [0, 1] },
    lines: [
      {
        label: 'one',
        kind: 'published',
        points: [
          { x: 0, y: 0 },
          { x: 2, y: 1 },
        ],
      },
    ],
  };

  it('draws lines where the SVG has them, dashed, and texts as LaTeX', () => {
    const tikz = tikzPicture(linePlot(plot)!);
    expect(tikz).toContain('(0,380) -- (520,0);');
    expect(tikz).toContain('dash pattern=on 6\\figurepixel off 3\\figurepixel');
    expect(tikz).toContain('{A \\& B\\_1};');
    expect(tikz).toContain('rotate=90');
    expect(tikz).toContain('{y, \\%};');
    expect(tikz).toContain('\\clip (0,0) rectangle +(520,380);');
    expect(tikz.match(/\\begin\{scope\}/g)!.length).toBe(tikz.match(/\\end\{scope\}/g)!.length);
  });

  it('knows all that figures are drawn with', () => {
    const point = { x: 1, value: 2, low: 1, high: 3 };
    const panel = { x: 'x', y: 'y', points: [point, { ...point, x: 2 }] };
    expect(tikzPicture(panelFigure([panel], 'panels'))).toContain('{panels};');
    const points = [1, 10, 100].map((x) => ({ label: `p${x}`, colour: '#d62728', x, y: x, hollow: x === 1 }));
    const scatter = {
      x: { title: 'x', type: 'log' },
      y: { title: 'y', type: 'linear' },
      points,
      line: points,
    } as const;
    const tikz = tikzPicture(scatterPlot(scatter)!);
    for (const { label } of points) expect(tikz).toContain(`{${label}};`);
    expect(tikzPicture(linePlot({ ...plot, names: 'beside' })!)).toContain('{one};');
  });

  it('refuses what no figure of ours has', () => {
    expect(() => tikzPicture('<svg width="1" height="1"><ellipse rx="1"/></svg>')).toThrow(/ellipse/);
    expect(() => tikzPicture('<svg width="1" height="1"><path d="M0,0C1,1" stroke="#000"/></svg>')).toThrow(/path/);
    expect(() => tikzPicture('<p>')).toThrow(/SVG/);
  });
});

describe('scatterPlot', () => {
  it('sets names where they cover no point and no other name, as far as there is room', () => {
    const points = [0, 1, 2, 3].map((i) => ({ label: `point ${i}`, colour: '#000000', x: i, y: (i % 2) * 10 }));
    const svg = scatterPlot({ x: { title: 'x', type: 'linear' }, y: { title: 'y', type: 'linear' }, points })!;
    const boxes = [
      ...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)" fill="#000000">(point \d)</g),
    ].map(([, x, y, anchor]) => {
      const width = 60;
      const left = Number(x) - { start: 0, middle: width / 2, end: width }[anchor]!;
      return { left, right: left + width, y: Number(y) };
    });
    expect(boxes.length).toBe(4);
    boxes.forEach((a, i) => {
      for (const b of boxes.slice(i + 1)) {
        expect(a.right < b.left || b.right < a.left || Math.abs(a.y - b.y) >= 12).toBe(true);
      }
    });
    expect(scatterPlot({ x: { title: 'x', type: 'log' }, y: { title: 'y', type: 'linear' }, points: [] })).toBe(
      undefined,
    );
  });
});
