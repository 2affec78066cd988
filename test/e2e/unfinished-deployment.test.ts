import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestStack } from './test-stack.ts';

let stack: TestStack;

beforeAll(async () => {
  stack = await TestStack.start();
});

afterAll(async () => {
  await stack.stop();
});

/** What the functions logged while an action ran. */
async function logOf(action: () => Promise<unknown>): Promise<string[]> {
  const before = stack.logLines.length;
  await action();
  return stack.logLines.slice(before);
}

describe('a deployment that is not finished', () => {
  test.each([
    ['not filled in', null, 'has not been filled in: run "npm run operate -- fill-secret supabase --stage'],
    ['not JSON', 'sb_secret_x', 'is not JSON: it must be {"secret_key": "sb_secret_..."}'],
    ['without its key', '{"key": "x"}', 'is malformed at secret_key: it must be'],
  ])('answers 503 with a Supabase secret %s, and logs once what to do', async (_name, value, advice) => {
    const { cloud, supabase } = stack.stack;
    const user = await stack.createConnectedUser(3_000);
    const secretName = cloud.template.outputs['SupabaseSecretArn'] ?? '';
    if (value === null) cloud.secretsManager.clearSecretValue(secretName);
    else cloud.secretsManager.putSecretValue(secretName, value);
    await cloud.lambda.stopIdleEnvironments();

    const lines = await logOf(async () => {
      const answer = await stack.status(user.id);
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '10']);
      expect(answer.text).not.toContain('secret');
    });
    const sweep = await stack.sweep();

    expect(
      lines.map((line) => JSON.parse(line)).filter((line) => line.reason?.includes(advice)),
    ).toHaveLength(1);
    expect(sweep.result['errorMessage']).toContain(advice);

    cloud.secretsManager.putSecretValue(
      secretName,
      JSON.stringify({ secret_key: supabase.secretKey, jwt_secret: supabase.jwtSecret }),
    );
    await cloud.lambda.stopIdleEnvironments();
    expect((await stack.status(user.id)).body).toMatchObject({ connected: true });
  });

  test('answers 503 while the migration is not applied, and logs that it is missing', async () => {
    const user = await stack.createConnectedUser(3_000);
    await stack.sql('alter function public.spotify_check_connection rename to not_there_yet');

    const lines = await logOf(async () => {
      expect((await stack.status(user.id)).status).toBe(503);
    });

    await stack.sql('alter function public.not_there_yet rename to spotify_check_connection');
    expect(lines.join()).toContain('apply migrations');
    expect((await stack.status(user.id)).body).toMatchObject({ connected: true });
  });

  test('keeps connections alive while functions of a later migration are missing, and says what is wrong', async () => {
    const [due = ''] = await stack.createDueConnections(1);
    const added = ['spotify_pending_events', 'spotify_record_events', 'spotify_finish_sweep'];
    for (const name of added) await stack.sql(`alter function public.${name} rename to ${name}_not_there`);

    const lines = await logOf(async () => {
      expect((await stack.sweep()).result).toMatchObject({ status: 'completed' });
    });
    expect(await stack.withoutFreshToken([due])).toEqual([]);
    expect((await stack.status(due)).body).toMatchObject({ connected: true });
    expect(lines.filter((line) => line.includes('apply migrations'))).toHaveLength(2);

    for (const name of added) await stack.sql(`alter function public.${name}_not_there rename to ${name}`);
  });

  test('doctor compares the version of the schema with the one that the code needs', async () => {
    expect((await stack.sweep({ command: 'doctor' })).result['checks']).toContainEqual({
      name: 'migrations',
      ok: true,
      detail: 'schema version 1',
    });

    await setSchemaVersion(0);
    expect((await stack.sweep({ command: 'doctor' })).result['checks']).toContainEqual({
      name: 'migrations',
      ok: false,
      detail: 'the schema has version 0, this code needs 1: apply migrations',
    });
    await setSchemaVersion(1);
  });
});

function setSchemaVersion(version: number): Promise<object[]> {
  return stack.sql(
    `create or replace function spotify_auth.schema_version() returns integer
     language sql immutable set search_path = pg_catalog, pg_temp as $$ select ${version}; $$`,
  );
}
