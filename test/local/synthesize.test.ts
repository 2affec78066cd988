import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { keep } from '../../local/synthesize.ts';

const FILES = 60;

let folder: string;
let stack: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spotify-auth-keep-'));
  stack = join(folder, 'stack');
  await mkdir(join(stack, 'asset'), { recursive: true });
  for (let file = 0; file < FILES; file += 1)
    await writeFile(join(stack, 'asset', `${file}.mjs`), 'x'.repeat(1_000));
});
afterAll(() => rm(folder, { recursive: true }));

describe('a synthesized stack is kept', () => {
  test('instead of the one before', async () => {
    const local = await mkdtemp(join(folder, 'local-'));

    await keep(stack, 'before', local);
    await keep(stack, 'after', local);

    expect(await readdir(join(local, 'synthesized'))).toEqual(['after']);
    expect(await readdir(local)).toEqual(['synthesized']);
  });

  test('whole, or not at all, however many starts keep theirs at once', async () => {
    const local = await mkdtemp(join(folder, 'local-'));
    for (let round = 0; round < 10; round += 1) {
      await Promise.allSettled(['one', 'one', 'other'].map((hash) => keep(stack, hash, local)));

      for (const hash of await readdir(join(local, 'synthesized'))) {
        const copy = await mkdtemp(join(folder, 'copy-'));
        await cp(join(local, 'synthesized', hash), copy, { recursive: true });
        expect(await readdir(join(copy, 'asset'))).toHaveLength(FILES);
      }
    }
    expect(await readdir(local)).toEqual(['synthesized']);
  });
});
