import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { publicPath } from '../src/node/files.js';
import { readImage } from '../src/node/image/read.js';

test('a path for others names nothing outside of the working directory', () => {
  expect(publicPath('pictures/more')).toBe(join('pictures', 'more'));
  expect(publicPath(resolve('models', 'mine'))).toBe(join('models', 'mine'));
  expect(publicPath('.')).toBe('.');
  expect(publicPath(resolve('..', 'elsewhere', 'photos'))).toBe('photos');
  expect(publicPath(join('..', '..', 'photos=0.2'))).toBe('photos=0.2');
  expect(publicPath('..pictures')).toBe('..pictures');
});

test('what is no path is told without its content', async () => {
  const bytes = Buffer.from('\x89PNG\r\n\x1a\n and more', 'latin1');
  await expect(readImage(bytes as unknown as string)).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(
      /^path: expected a string \(`readImageBytes` takes the content of a file\), got [\x20-\x7e]*$/,
    ),
  });
});
