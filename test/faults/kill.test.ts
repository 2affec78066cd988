import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import type { TestStack } from '../e2e/test-stack.ts';
import { breakFunction } from './break-function.ts';
import { isLongRun } from './run-length.ts';
import { findUsersWithRefusedTokens, TOKEN_ENDPOINTS } from './token-endpoints.ts';

const CONNECTIONS = isLongRun ? 2_000 : 300;
/** At least: where fewer of them come between an answer and its write, it goes on. */
const KILLS = isLongRun ? 50 : 6;
const KILLS_BETWEEN_ANSWER_AND_WRITE = isLongRun ? 10 : 2;

const SPOTIFY_LATENCY_MILLISECONDS = 5;
const TIMEOUT_MILLISECONDS = isLongRun ? 600_000 : 120_000;

/** Enough for two sweeps to meet, and few enough for two that ignore leases to come to an end. */
const SELF_TEST_CONNECTIONS = 300;

const ASKED_TWICE = 'Spotify was asked twice about a user';

let stack: TestStack;
let superuser: pg.Client;
let users: string[];

describe.each(TOKEN_ENDPOINTS)('with $name', ({ name, startStack }) => {
  beforeAll(async () => {
    stack = await startStack();
    superuser = new pg.Client({ connectionString: stack.stack.database.superuserUrl });
    await superuser.connect();
  });

  afterAll(async () => {
    await superuser.end();
    await stack.stop();
  });

  beforeEach(async () => {
    await stack.sql('delete from auth.users');
    users = await stack.createDueConnections(CONNECTIONS);
  });

  test(
    'without rotation, whatever moment sweeps are killed at, one clean sweep leaves every connection fresh',
    async () => {
      stack.tokenEndpoint.configure({
        rotatesRefreshTokens: false,
        latencyMillis: SPOTIFY_LATENCY_MILLISECONDS,
      });
      const unwrittenPerKill: number[] = [];

      while (!isEnough(unwrittenPerKill)) {
        await stack.letHoursPass(1);
        const unwritten = await killSweeps(momentOf(unwrittenPerKill.length));
        unwrittenPerKill.push(unwritten.length);
        expect(await usersWithDeadGrants()).toEqual([]);
      }
      await stack.letHoursPass(1);
      await expectCleanSweep();

      report(`${name}, rotation off`, unwrittenPerKill, 0);
    },
    TIMEOUT_MILLISECONDS,
  );

  test(
    'with rotation and reuse detection, exactly the grants are lost whose new token the dead process had not written',
    async () => {
      stack.tokenEndpoint.configure({
        rotatesRefreshTokens: true,
        latencyMillis: SPOTIFY_LATENCY_MILLISECONDS,
      });
      const unwrittenPerKill: number[] = [];
      let lostGrants = 0;

      while (!isEnough(unwrittenPerKill)) {
        await stack.letHoursPass(1);
        const unwritten = await killSweeps(momentOf(unwrittenPerKill.length));
        unwrittenPerKill.push(unwritten.length);
        const lost = await usersWithDeadGrants();
        expect(lost).toEqual(unwritten);
        lostGrants += lost.length;
        // They connect again: the next round starts with living grants only.
        await stack.authorizeMany(lost);
      }
      await stack.letHoursPass(1);
      await expectCleanSweep();

      report(`${name}, rotation and reuse detection`, unwrittenPerKill, lostGrants);
    },
    TIMEOUT_MILLISECONDS,
  );

  test('the checks notice sweeps that do not respect leases', async () => {
    await stack.sql('delete from auth.users');
    users = await stack.createDueConnections(SELF_TEST_CONNECTIONS);
    stack.tokenEndpoint.configure({
      rotatesRefreshTokens: false,
      latencyMillis: SPOTIFY_LATENCY_MILLISECONDS,
    });
    await breakFunction(
      (text, values) => stack.sql(text, values),
      'spotify_claim_due',
      'where c.due_at >= scan_from and c.due_at <= scan_to\n          and (c.claimable_at is null or c.claimable_at <= now())',
      'where true',
    );

    await expect(killSweeps(afterAnswers(SELF_TEST_CONNECTIONS * 1.5))).rejects.toThrow(ASKED_TWICE);
  });
});

function isEnough(unwrittenPerKill: readonly number[]): boolean {
  return (
    unwrittenPerKill.length >= KILLS &&
    killsBetweenAnswerAndWrite(unwrittenPerKill) >= KILLS_BETWEEN_ANSWER_AND_WRITE
  );
}

/** By turns some answer of Spotify, and the first time outcomes are sent to the database. */
function momentOf(kill: number): () => boolean {
  if (kill % 2 === 0) return afterAnswers(Math.floor(Math.random() * CONNECTIONS));
  const writesBefore = countWrites();
  return () => countWrites() > writesBefore;
}

function afterAnswers(count: number): () => boolean {
  return () => stack.tokenEndpoint.calls.length >= count;
}

function countWrites(): number {
  return stack.stack.supabase.requests.filter(({ path }) => path.endsWith('/spotify_record')).length;
}

/**
 * Starts two sweeps and kills both shortly after a moment; does it again where they were over before they could be.
 *
 * @returns the users whose refresh Spotify answered and no process recorded
 */
async function killSweeps(hasCome: () => boolean): Promise<string[]> {
  const { tokenEndpoint } = stack;
  const { cloud } = stack.stack;
  tokenEndpoint.forgetCalls();
  let areOver = false;
  const sweeps = Promise.all([stack.sweep(), stack.sweep()]).finally(() => {
    areOver = true;
  });
  while (!hasCome() && !areOver) await sleep(1);
  await sleep(Math.random() * 20);
  await cloud.lambda.killBusyEnvironments();

  const results = await sweeps;
  await letRequestsUnderWayEnd();
  const answered = tokenEndpoint.calls.map((call) => call.userId ?? '');
  if (new Set(answered).size < answered.length) throw new Error(ASKED_TWICE);
  expect(tokenEndpoint.calls.filter(({ outcome }) => outcome !== 'refreshed')).toEqual([]);
  const written = new Set(await usersWithFreshTokens());
  expect([...written].filter((id) => !answered.includes(id))).toEqual([]);
  if (results.every(({ functionError }) => functionError === undefined)) {
    await stack.letHoursPass(1);
    return killSweeps(hasCome);
  }
  expect(results.map(({ result }) => result['errorType'])).toContain('Runtime.ExitError');
  return answered.filter((id) => !written.has(id)).sort();
}

/** What had been sent before the kill still takes effect, at Spotify and in the database. */
async function letRequestsUnderWayEnd(): Promise<void> {
  await sleep(10 * SPOTIFY_LATENCY_MILLISECONDS);
  // Connections are accepted in the order in which they were made: those of the dead processes before this one.
  const [response] = await once(http.get(stack.tokenEndpoint.tokenUrl, { agent: false }), 'response');
  response.resume();
  while (stack.tokenEndpoint.underWay > 0) await sleep(1);
  for (;;) {
    const { rows } = await superuser.query(
      "select from pg_stat_activity where datname = current_database() and usename = 'authenticator' and state <> 'idle'",
    );
    if (rows.length === 0) return;
    await sleep(10);
  }
}

async function usersWithFreshTokens(): Promise<string[]> {
  const rows = await stack.sql<{ id: string }>(
    'select id from public.profiles where spotify_token_expires_at > now() order by id',
  );
  return rows.map(({ id }) => id);
}

/** Users whose stored refresh token Spotify would refuse. */
async function usersWithDeadGrants(): Promise<string[]> {
  const rows = await stack.sql<{ id: string; token: string }>(
    'select id, spotify_refresh_token as token from public.profiles order by id',
  );
  return rows
    .filter(({ token }) => !stack.tokenEndpoint.inspectRefreshToken(token)?.isAlive)
    .map(({ id }) => id);
}

async function expectCleanSweep(): Promise<void> {
  const { result } = await stack.sweep();
  expect(result).toMatchObject({ status: 'completed', refreshed: CONNECTIONS, failed: 0, remaining: 0 });
  expect(await usersWithFreshTokens()).toEqual(users.sort());
  expect(await findUsersWithRefusedTokens(stack)).toEqual([]);
}

function killsBetweenAnswerAndWrite(unwrittenPerKill: readonly number[]): number {
  return unwrittenPerKill.filter((unwritten) => unwritten > 0).length;
}

function report(mode: string, unwrittenPerKill: readonly number[], lostGrants: number): void {
  const unwritten = unwrittenPerKill.reduce((sum, count) => sum + count, 0);
  process.stdout.write(
    `kill test, ${mode}: ${unwrittenPerKill.length} kills of sweeps over ${CONNECTIONS} connections, ` +
      `${killsBetweenAnswerAndWrite(unwrittenPerKill)} of them between an answer and its write; ` +
      `${unwritten} answers unwritten (at most ${Math.max(...unwrittenPerKill)} by one kill), ` +
      `grants lost: ${lostGrants} for that reason, 0 for any other; the clean sweep left all ${CONNECTIONS} fresh\n`,
  );
}
