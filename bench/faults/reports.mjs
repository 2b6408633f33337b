/** Foreign parts of reports: their contents must not write outside, nor turn into a formula, markup or an invalid number. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { set } from './things.mjs';
import { each, expect, lastLine } from './trial.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */

const GROUP = 'reports';
const MERGE = ['rd', 'merge', 'part', '-o', 'deep/down/out', '--quiet'];
const IMAGE = 'part/images/00000-0.json';
const SCRIPT = '<script>alert(1)</script><img src=x onerror=alert(1)>"\'';
const CONTROLS = 'x\u001b[2J\u0007\u202e\u2028\u009b31my';
const nested = '['.repeat(1e5) + ']'.repeat(1e5);

/** Changes to `run.json`. @type {Record<string, string | ((run: any) => unknown)>} */
const RUNS = {
  '{}': '{}',
  null: 'null',
  'a list': '[]',
  'no JSON': '{',
  nothing: '',
  'nested 100,000 deep': nested,
  'options null': '{"options": null, "versions": {}}',
  'options without fields': '{"options": {}, "versions": {}}',
  'versions a text': set('versions', 'x'),
  'versions of numbers': set('versions', { a: 1, b: null }),
  'efforts that lead elsewhere': set('options.efforts', ['/../../../escaped', 2]),
  'efforts null': set('options.efforts', null),
  'efforts of texts': set('options.efforts', ['1']),
  'no efforts': set('options.efforts', []),
  'a million efforts': set(
    'options.efforts',
    Array.from({ length: 1e6 }, (_, i) => i),
  ),
  'imageCount 1e9': set('options.imageCount', 1e9),
  'imageCount a text': set('options.imageCount', '2'),
  'imageCount -1': set('options.imageCount', -1),
  'shard of 0': set('options.shard', { index: 0, count: 0 }),
  'shard a text': set('options.shard', '1/4'),
  'baselines that lead elsewhere': set('options.baselines', ['../../../escaped']),
  'baselines null': set('options.baselines', null),
  'images null': set('options.images', null),
  'images of numbers': set('options.images', [1]),
  'targetRmse a text': set('options.targetRmse', 'x'),
  'selection __proto__': set('options.selection', '__proto__'),
  'modelIds null': set('options.modelIds', null),
  'points -5': set('options.points', -5),
};

/** Changes to an image's file. @type {Record<string, string | ((image: any) => unknown)>} */
const IMAGES = {
  '{}': '{}',
  null: 'null',
  'a list': '[]',
  'a number': '3',
  'a text': '"x"',
  'no JSON': '{"index"',
  nothing: '',
  'nested 100,000 deep': nested,
  'index -1': set('index', -1),
  'index 1e9': set('index', 1e9),
  'index a text': set('index', '0'),
  'index 0.5': set('index', 0.5),
  'index that leads elsewhere': set('index', '/../../../escaped/'),
  'name null': set('name', null),
  'name a list': set('name', ['a']),
  'width 0': set('width', 0),
  'height a text': set('height', '16'),
  'ours null': set('ours', null),
  'ours without points': (image) => {
    image.ours['ddpm-codec'] = {};
  },
  'points null': (image) => {
    image.ours['ddpm-codec'].points = [null];
  },
  'points of texts': (image) => {
    image.ours['ddpm-codec'].points[1].rmse = '3';
  },
  'points NaN': (image) => JSON.stringify(image).replace(/"rmse":[\d.]+/, '"rmse":NaN'),
  'points of 1e308': (image) => {
    for (const point of image.ours['ddpm-codec'].points)
      Object.assign(point, { bitsPerDim: 1e308, bpp: 1e308, rmse: 1e308, psnr: -1e308 });
  },
  'no points': (image) => {
    image.ours['ddpm-codec'].points = [];
  },
  'a hundred thousand points': (image) => {
    const { points } = image.ours['ddpm-codec'];
    image.ours['ddpm-codec'].points = Array.from({ length: 1e5 }, (_, i) => ({ ...points[i % points.length] }));
  },
  'baselines null': set('baselines', null),
  'baselines a number': set('baselines.jpeg', 5),
  'theory null': set('theory', null),
  'model a text': set('model', 'x'),
  'timesteps a text': set('model.timesteps', 'x'),
  'machine null': set('machine', null),
  'pictures of numbers': set('pictures', { crop: null, original: 5, points: [1] }),
};

/** Expects that no name was used as a path to write to. @param {Trial} trial */
function nothingEscaped(trial) {
  const places = ['.', 'deep', 'deep/down', '..', '../..'].map((place) => trial.path(place, 'escaped.json'));
  const found = places.filter((path) => existsSync(path));
  expect(found.length === 0, `writes ${found.join(', ')}`);
  const beside = trial.names('deep/down').filter((name) => name !== 'out');
  expect(beside.length === 0, `writes ${beside.join(', ')} beside its directory`);
}

/** @param {Trial} trial */
async function begin(trial) {
  await trial.take('part');
  await trial.write('deep/down/out/.keep', '');
  // An empty directory to write into. What lies above it must not be overwritten.
  await trial.codec(['--version'], { shell: 'rm deep/down/out/.keep; rmdir deep/down/out' });
}

/** @param {Trial} trial @returns {Promise<string>} */
async function merged(trial) {
  const page = (await trial.read('deep/down/out/report.html'))?.toString() ?? '';
  expect(page !== '', 'no report');
  return page;
}

/** Expects the part to be refused, or none of it to run on the page. @param {Trial} trial */
async function escapes(trial) {
  const { code, stderr } = await trial.codec(MERGE);
  if (code !== 0) return lastLine(stderr);
  const page = await merged(trial);
  expect(!page.includes('<script>alert(1)') && !page.includes('<img src=x'), 'the page runs it');
  return 'escaped';
}

/** @type {import('./trial.mjs').Case[]} */
export const cases = [
  ...each(GROUP, RUNS, async (trial, change) => {
    await begin(trial);
    if (change === '') await trial.write('part/run.json', '');
    else await trial.edit('part/run.json', typeof change === 'string' ? () => change : change);
    try {
      return await trial.refuses(MERGE, /run\.json/);
    } finally {
      nothingEscaped(trial);
    }
  }).map((one) => ({ ...one, name: `run.json: ${one.name}` })),
  ...each(GROUP, IMAGES, async (trial, change) => {
    await begin(trial);
    if (change === '') await trial.write(IMAGE, '');
    else await trial.edit(IMAGE, typeof change === 'string' ? () => change : change);
    try {
      return await trial.refuses(MERGE, /00000-0\.json/);
    } finally {
      nothingEscaped(trial);
    }
  }).map((one) => ({ ...one, name: `an image: ${one.name}` })),
  ...each(
    GROUP,
    {
      '{}': '{}',
      null: 'null',
      'a list': '[1]',
      'failed null': '{"failed":null}',
      'failed of numbers': '{"failed":[1,null]}',
      'failed of wrong types': '{"failed":[{"index":"x","name":5,"error":null}]}',
    },
    async (trial, content) => {
      await begin(trial);
      await trial.write('part/results.json', content);
      return trial.refuses(MERGE, /results\.json/);
    },
  ).map((one) => ({ ...one, name: `results.json: ${one.name}` })),
  ...each(
    GROUP,
    {
      'an image called a script': set('name', SCRIPT),
      'a model called a script': set('model.name', SCRIPT),
      'a machine called a script': set('machine', { node: SCRIPT, [SCRIPT]: SCRIPT }),
      'a picture that is a script': (/** @type {any} */ image) => {
        image.pictures.original = `"${SCRIPT}`;
        for (const point of image.pictures.points) point.picture = `"${SCRIPT}`;
      },
    },
    async (trial, change) => {
      await begin(trial);
      await trial.edit(IMAGE, change);
      return escapes(trial);
    },
  ),
  {
    group: GROUP,
    name: 'curves that nobody asked for, called a path: refused or passed over',
    run: async (trial) => {
      await begin(trial);
      await trial.edit(IMAGE, (image) => {
        for (const curves of [image.ours, image.baselines, image.theory]) {
          curves['../../../escaped'] = Object.values(curves)[0] ?? [];
        }
      });
      const { code, stderr } = await trial.codec(MERGE);
      nothingEscaped(trial);
      return code === 0 ? 'passed over' : lastLine(stderr);
    },
  },
  {
    group: GROUP,
    name: 'options called scripts',
    run: async (trial) => {
      await begin(trial);
      await trial.edit('part/run.json', ({ options, versions }) => {
        Object.assign(options, { images: [SCRIPT], model: SCRIPT, engine: SCRIPT });
        versions.sharp = SCRIPT;
      });
      return escapes(trial);
    },
  },
  {
    group: GROUP,
    name: 'names that move the cursor',
    run: async (trial) => {
      await begin(trial);
      await trial.edit(IMAGE, set('name', CONTROLS));
      await trial.edit('part/run.json', set('options.images', [CONTROLS]));
      const { code, stderr } = await trial.codec(MERGE.filter((arg) => arg !== '--quiet'));
      // The same part twice: the message names the image.
      await trial.refuses(['rd', 'merge', 'part', 'part', '-o', 'other', '--quiet']);
      return code === 0 ? 'escaped' : lastLine(stderr);
    },
  },
  ...each(
    GROUP,
    {
      '=': '=HYPERLINK("http://x","y")',
      '@': '@SUM(1+1)',
      '+': '+1+cmd|x!A0',
      '-': '-2+3+cmd|x!A0',
      'a tab': '\t=1+1',
    },
    async (trial, name) => {
      await begin(trial);
      await trial.edit(IMAGE, set('name', name));
      const { code, stderr } = await trial.codec(MERGE);
      if (code !== 0) return lastLine(stderr);
      const csv = (await trial.read('deep/down/out/images.csv'))?.toString() ?? '';
      const cells = csv.split('\n').map((line) => line.replace(/^"/, ''));
      expect(
        !cells.some((cell) => /^[=@+\t-]/.test(cell)),
        `images.csv has ${cells.find((cell) => /^[=@+\t-]/.test(cell))?.slice(0, 40)}`,
      );
      return cells.find((cell) => cell.includes(name.slice(1, 6)))?.slice(0, 30) ?? '';
    },
  ).map((one) => ({ ...one, name: `images.csv: a name that begins with ${one.name}` })),
  {
    group: GROUP,
    name: 'images.csv: a picture of this machine called =1+1.png',
    run: async (trial) => {
      await trial.take('a.png');
      await trial.copy('a.png', '=1+1.png');
      await trial.does(['rd', '=1+1.png', '--model', 'none', '--baselines', 'jpeg', '-o', 'out', '--quiet']);
      const csv = (await trial.read('out/images.csv'))?.toString() ?? '';
      expect(!/^"?=/m.test(csv), 'a formula');
    },
  },
  ...['part/run.json', IMAGE, 'part/results.json'].flatMap((file) =>
    each(
      GROUP,
      /** @type {Record<string, Parameters<Trial['replace']>[1]>} */ ({
        'a FIFO': 'fifo',
        'a link to /dev/zero': 'zero',
        '20 GB of nothing': 'huge',
        'a directory': 'directory',
      }),
      async (trial, kind) => {
        await begin(trial);
        await trial.replace(file, kind);
        return trial.refuses(MERGE, /./, { patience: 15 });
      },
    ).map((one) => ({ ...one, name: `${file} is ${one.name}` })),
  ),
  {
    group: GROUP,
    name: 'a foreign file in the directory is not written over',
    run: async (trial) => {
      await begin(trial);
      await trial.write('deep/down/out/results.json', 'mine');
      const said = await trial.refuses(MERGE);
      expect((await trial.read('deep/down/out/results.json'))?.toString() === 'mine', 'it was');
      return said;
    },
  },
  {
    group: GROUP,
    name: 'rd goes on in a directory with damaged images',
    run: async (trial) => {
      await trial.take('few');
      const args = ['rd', 'few', '--model', 'none', '--baselines', 'jpeg', '-o', 'out', '--quiet'];
      await trial.does(args);
      const [name] = trial.names('out/images');
      for (const content of ['{}', 'null', '', '{"index":0}']) {
        await trial.write(join('out/images', name), content);
        await trial.refuses(args, /images/);
      }
    },
  },
  ...each(
    GROUP,
    {
      '--target-rmse 60 --points 2': ['--target-rmse', '60', '--points', '2'],
      '--target-rmse 1e300': ['--target-rmse', '1e300'],
      '--points 2': ['--points', '2'],
      '--target-rmse 200 --theory': ['--target-rmse', '200', '--theory'],
    },
    async (trial, more) => {
      await trial.take('a.png', 'model');
      const args = ['rd', 'a.png', '--model', 'model', '--effort', '1', '-o', 'out', '--quiet', ...more];
      const { code, stderr } = await trial.codec(args);
      expect(!/Infinity|NaN/.test(stderr), `exit code ${code}: ${lastLine(stderr)}`);
      if (code === 0) expect(trial.has('out/results.json'), 'no results');
      else
        expect(
          !trial.has('out/images/00000-a.json'),
          `measures all, then ends with exit code ${code}: ${lastLine(stderr)}`,
        );
      return `exit code ${code}`;
    },
  ).map((one) => ({ ...one, name: `rd ${one.name}` })),
];
