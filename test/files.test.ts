import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { publicPath } from '../src/node/files.js';

test('a path for others names nothing outside of the working directory', () => {
  expect(publicPath('pictures/more')).toBe(join('pictures', 'more'));
  expect(publicPath(resolve('models', 'mine'))).toBe(join('models', 'mine'));
  expect(publicPath('.')).toBe('.');
  expect(publicPath(resolve('..', 'elsewhere', 'photos'))).toBe('photos');
  expect(publicPath(join('..', '..', 'photos=0.2'))).toBe('photos=0.2');
  expect(publicPath('..pictures')).toBe('..pictures');
});
