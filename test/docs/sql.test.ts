import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { TestDatabase } from '../supabase/database.ts';
import { codeBlocksOf } from './markdown.ts';

const runbook = readFileSync(join(import.meta.dirname, '../../docs/runbook.md'), 'utf8');
const statements = codeBlocksOf(runbook, 'sql').flatMap((block) => block.match(/[^;]+;/g) ?? []);

let database: TestDatabase;
let user: string;

beforeAll(async () => {
  database = await TestDatabase.start();
  user = await database.createUser({ access: 'access', refresh: 'refresh', expires: -60 });
});
afterAll(() => database.stop());

test('the runbook shows SQL', () => {
  expect(statements.length).toBeGreaterThan(2);
});

test.each(statements)('the database takes it, as it is pasted: %s', async (statement) => {
  await expect(database.owner(statement.replace('<user-id>', user))).resolves.toBeDefined();
});

test('the statement that looks for expired tokens finds them', async () => {
  const [expired = ''] = statements.filter((statement) => statement.includes('expires_at <= now()'));
  expect(await database.owner(expired)).toMatchObject([{ user_id: user }]);
});
