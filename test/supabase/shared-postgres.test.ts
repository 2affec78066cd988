import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { FOLDER_IN_MEMORY } from '../../stand-ins/supabase/postgres.ts';
import { startSharedPostgres } from './shared-postgres.ts';

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('what a killed process left in memory is gone when the next server starts', async () => {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  const left = join(FOLDER_IN_MEMORY, `spotify-auth-postgres-${child.pid}-Abc123`);
  await mkdir(join(left, 'data'), { recursive: true });

  const postgres = await startSharedPostgres();
  await postgres.stop();

  expect(existsSync(left)).toBe(false);
});
