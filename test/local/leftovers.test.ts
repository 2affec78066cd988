import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { removeAbandonedFolders } from '../../local/leftovers.ts';

test('temporary folders of processes that are gone are removed, and no others', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'leftovers-test-'));
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  const abandoned = [`spotify-auth-cdk-${child.pid}-Abc123`, `spotify-auth-postgres-${child.pid}-Abc123`];
  const others = [
    `spotify-auth-cdk-${process.pid}-Abc123`,
    'spotify-auth-e2e-Abc123',
    `other-${child.pid}-Abc123`,
  ];
  for (const name of [...abandoned, ...others])
    await mkdir(join(directory, name, 'data'), { recursive: true });

  expect([...(await removeAbandonedFolders(directory))].sort()).toEqual(abandoned);
  expect((await readdir(directory)).sort()).toEqual(others.sort());

  await rm(directory, { recursive: true });
});
