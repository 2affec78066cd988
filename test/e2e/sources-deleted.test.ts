import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

const projectRoot = join(import.meta.dirname, '../..');

/** All that the end-to-end tests need beside the synthesized stack: neither lambda/ nor lib/. */
const NEEDED = [
  'local',
  'stand-ins',
  'supabase',
  'docs',
  'test/e2e',
  'test/supabase',
  // Named in jest's configuration, not run.
  'test/browser',
  'test/closing-line-reporter.js',
  'test/loopback-only.ts',
  'jest.config.js',
  'package.json',
];

const OTHERS = ['contract', 'sweep', 'refresh', 'canary', 'unfinished-deployment'];

let checkout: string;

beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'spotify-auth-without-sources-'));
  for (const path of NEEDED) await cp(join(projectRoot, path), join(checkout, path), { recursive: true });
  await symlink(join(projectRoot, 'node_modules'), join(checkout, 'node_modules'));
});

afterAll(() => rm(checkout, { recursive: true, force: true }));

describe('the other end-to-end tests', () => {
  test('pass without the sources of the functions, on what was synthesized', async () => {
    const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--selectProjects', 'stack'];
    const others = OTHERS.map((name) => `e2e/${name}.test`);

    const run = promisify(execFile)(process.execPath, [...jest, '--testPathPatterns', ...others], {
      cwd: checkout,
      encoding: 'utf8',
    });

    // stderr shows what failed, should something fail.
    const { stdout, stderr } = await run.catch((error) => error);
    expect([stdout.split('\n').at(-2), stderr]).toEqual([
      expect.stringMatching(/^\d\d+ passed, 0 failed$/),
      expect.anything(),
    ]);
  }, 240_000);
});
