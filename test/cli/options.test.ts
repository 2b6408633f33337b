/** The codec's options as arguments, and what the documentation says about them. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { Options } from 'yargs';
import { asNumber } from '../../src/cli/args.js';
import { DECODE_FLAGS } from '../../src/cli/decode/decode.js';
import { ENCODE_FLAGS } from '../../src/cli/encode/encode.js';
import { flagsFor, readFlags, reportedOptions } from '../../src/cli/options.js';

const TABLE = {
  mostSteps: { type: 'number', integer: true, least: 2, most: 8, default: 4, describe: 'How many' },
  size: { type: 'number', above: 0, unit: 'metres', describe: 'How large' },
  kind: { type: 'choice', choices: ['a', 'b'], default: 'a', describe: 'Which' },
  isFast: { type: 'switch', default: false, describe: 'Whether' },
} as const;

describe('options of a table', () => {
  it('are arguments with their help, choices and defaults', () => {
    expect(flagsFor(TABLE, { mostSteps: 'steps' })).toEqual({
      steps: { description: 'How many', default: 4, requiresArg: true, coerce: asNumber },
      size: { description: 'How large', requiresArg: true, coerce: asNumber },
      kind: { description: 'Which', choices: ['a', 'b'], default: 'a', requiresArg: true },
      'is-fast': { description: 'Whether', type: 'boolean', default: false },
    });
  });

  it('are read back under the names of the library, and reported', () => {
    const read = readFlags(TABLE, { steps: 8, kind: 'b', 'is-fast': true, other: 1 }, { mostSteps: 'steps' });
    expect(read).toEqual({ mostSteps: 8, kind: 'b', isFast: true });
    expect(reportedOptions(TABLE, read)).toEqual({ mostSteps: 8, size: null, kind: 'b', isFast: true });
  });

  it.each([
    [{ 'most-steps': 9 }, '--most-steps: expected an integer from 2 to 8, got 9'],
    [{ size: 'x' }, '--size: expected a number of metres above 0, got "x"'],
    [{ kind: 'c' }, '--kind: expected "a" or "b", got "c"'],
  ])('are refused by the names of their flags: %o', (args, message) => {
    expect(() => readFlags(TABLE, args)).toThrow(message);
  });
});

it.each([
  ['1', 1],
  ['-1.5e3', -1500],
  ['.5', 0.5],
  ['0xff', 255],
  ['', ''],
  ['Infinity', 'Infinity'],
  ['1,2', '1,2'],
  [
    ['1', '1'],
    ['1', '1'],
  ],
  [7, 7],
])('%j is typed for %j', (typed, value) => {
  expect(asNumber(typed)).toEqual(value);
});

describe('the README', () => {
  it('names options that there are, with their defaults', async () => {
    const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
    const [, section] = /^## Options that matter\n(.*?)^## /ms.exec(readme)!;
    const rows = section.split('\n').filter((line) => line.startsWith('| `--'));
    expect(rows.length).toBeGreaterThanOrEqual(8);
    const flags: Record<string, Options> = { ...DECODE_FLAGS, ...ENCODE_FLAGS };
    for (const row of rows) {
      const [, names, defaults] = row.split('|').map((cell) => cell.trim());
      const said = names.split(', ').map((name) => name.replace(/^`--(.*)`$/, '$1'));
      const values = defaults.split(', ').map((value) => value.replaceAll('`', ''));
      for (const [i, name] of said.entries()) {
        expect(Object.keys(flags)).toContain(name);
        // A row has one default for all its options, or one for each.
        expect(`${name} ${values[i] ?? values[0]}`).toBe(`${name} ${defaultOf(flags[name])}`);
      }
    }
    const mentioned = [...section.matchAll(/--[a-z][a-z-]*/g)].map(([flag]) => flag.slice(2));
    expect(Object.keys(flags)).toEqual(expect.arrayContaining(mentioned));
  });
});

/** The default as written for people. Some defaults are known only to the engine and stated in the description. */
function defaultOf({ default: value, description = '' }: Options): string {
  if (value !== undefined) return value === false ? 'off' : String(value);
  return /\[default: (.*)\]/.exec(description)?.[1] ?? 'off';
}
