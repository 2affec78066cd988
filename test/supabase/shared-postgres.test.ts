import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { findFolderInMemory } from '../../stand-ins/supabase/postgres.ts';
import { startSharedPostgres } from './shared-postgres.ts';

test('what a killed process left in memory is gone when the next server starts', async () => {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  const left = join(await findFolderInMemory(), `spotify-auth-postgres-${child.pid}-Abc123`);
  await mkdir(join(left, 'data'), { recursive: true });

  const postgres = await startSharedPostgres();
  await postgres.stop();

  expect(existsSync(left)).toBe(false);
});
