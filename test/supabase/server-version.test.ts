import { expect, test } from '@jest/globals';
import pg from 'pg';
import { openPostgres } from './database.ts';

const { name, number } = await askForVersion();

test(`the SQL suite runs on PostgreSQL ${name}`, () => {
  expect(number).toBeGreaterThanOrEqual(150_000);
});

async function askForVersion(): Promise<{ name: string; number: number }> {
  const postgres = await openPostgres();
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string; number: number }>(
      "select current_setting('server_version') as name, current_setting('server_version_num')::int as number",
    );
    return rows[0] as { name: string; number: number };
  } finally {
    await client.end();
    await postgres.stop();
  }
}
