import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { naiveUtc } from '../../stand-ins/bondhu/backend.ts';
import type { TestStack } from '../e2e/test-stack.ts';
import { breakFunction } from './break-function.ts';
import { isLongRun } from './run-length.ts';
import { findUsersWithRefusedTokens, TOKEN_ENDPOINTS } from './token-endpoints.ts';

const CONNECTIONS = isLongRun ? 500 : 100;
const SECONDS = isLongRun ? 60 : 6;
const SELF_TEST_SECONDS = 2;

/** Of sweeps' refreshes, status calls' and re-authorizations: a race with fewer would prove nothing, and goes on. */
const LEAST_EVENTS = 20;

const SWEEPERS = 3;
const STATUS_CALLERS = 4;
const WRITE_INTERVAL_MILLISECONDS = 100;
const AGEING_INTERVAL_MILLISECONDS = 50;
const SPOTIFY_LATENCY_MILLISECONDS = 20;
/** Long enough for a write from outside to come in while Spotify is being asked about its user. */
const SELF_TEST_LATENCY_MILLISECONDS = 300;
const TIMEOUT_MILLISECONDS = (SECONDS + 120) * 1_000;

/** Small, so that sweepers meet each other and leases are short. */
const SWEEP_BATCH_SIZE = 5;

/** What one race ended in. */
type Race = {
  readonly calls: number;
  readonly leases: number;
  readonly sweepRefreshes: number;
  readonly statusRefreshes: number;
  readonly reauthorizations: number;
  readonly deadlocks: number;
  readonly lostGrants: string[];
  readonly staleWrites: string[];
  readonly unleasedCalls: string[];
  readonly failures: string[];
};

type TakenLease = { readonly taken_at: Date; readonly lapses_at: Date; isUsed?: true };

let stack: TestStack;
let superuser: pg.Client;
let users: { readonly id: string; readonly authorization: string }[];

describe.each(TOKEN_ENDPOINTS)('with $name', ({ name, startStack }) => {
  beforeAll(async () => {
    stack = await startStack({
      environmentOverrides: { SWEEP_BATCH_SIZE: String(SWEEP_BATCH_SIZE) },
    });
    superuser = new pg.Client({ connectionString: stack.stack.database.superuserUrl });
    await superuser.connect();
    await superuser.query(RECORD_HISTORY);
    stack.tokenEndpoint.configure({ rotatesRefreshTokens: true });
  });

  afterAll(async () => {
    await superuser.end();
    await stack.stop();
  });

  test(
    'sweepers, status calls and a writer from outside, all at once: nothing is lost, stale, unleased or unhandled',
    async () => {
      const race = await run(SECONDS, LEAST_EVENTS, SPOTIFY_LATENCY_MILLISECONDS);

      process.stdout.write(
        `race test, ${name}: ${SWEEPERS + STATUS_CALLERS + 1} processes over ${CONNECTIONS} connections for ${SECONDS} s, ` +
          `${race.sweepRefreshes} refreshes by sweeps, ${race.statusRefreshes} by status calls, ` +
          `${race.reauthorizations} re-authorizations from outside, ${race.leases} leases for ${race.calls} calls; ` +
          `${race.lostGrants.length} grants lost, ${race.staleWrites.length} stale writes, ` +
          `${race.unleasedCalls.length} unleased calls, ${race.deadlocks} deadlocks, ${race.failures.length} failures\n`,
      );
      expect(race).toMatchObject({ lostGrants: [], staleWrites: [], unleasedCalls: [], failures: [] });
    },
    TIMEOUT_MILLISECONDS,
  );

  test(
    'the checks notice claims that ignore leases, and records that ignore whose turn it is',
    async () => {
      const runSql = (text: string, values?: readonly unknown[]) => stack.sql(text, values);
      await breakFunction(
        runSql,
        'spotify_claim_due',
        'where c.due_at >= scan_from and c.due_at <= scan_to\n          and (c.claimable_at is null or c.claimable_at <= now())',
        'where c.due_at is not null',
      );
      await breakFunction(
        runSql,
        'judge_outcomes',
        'when p.id is null then case',
        "when true then 'applied'\n        when p.id is null then case",
      );

      // Which damage a race does is up to chance; that all of it comes sooner or later, and is seen, is not.
      const unseen = new Set(['lostGrants', 'staleWrites', 'unleasedCalls'] as const);
      while (unseen.size > 0) {
        const race = await run(SELF_TEST_SECONDS, 0, SELF_TEST_LATENCY_MILLISECONDS);
        for (const kind of unseen) if (race[kind].length > 0) unseen.delete(kind);
      }
    },
    TIMEOUT_MILLISECONDS,
  );
});

/** Notes every lease that is given, and every refresh token that is stored, in the order in which it happens. */
const RECORD_HISTORY = `
  create schema race;
  create table race.leases (user_id uuid, taken_at timestamptz, lapses_at timestamptz);
  create table race.writes (position bigint generated always as identity, user_id uuid, refresh_token text);
  create function race.note_lease() returns trigger language plpgsql security definer as $$
  begin
    insert into race.leases values (new.user_id, now(), new.claimable_at);
    return null;
  end $$;
  create function race.note_write() returns trigger language plpgsql security definer as $$
  begin
    insert into race.writes (user_id, refresh_token) values (new.id, new.spotify_refresh_token);
    return null;
  end $$;
  create trigger note_lease after update on spotify_auth.connections for each row
    when (new.lease_id is not null and new.lease_id is distinct from old.lease_id) execute function race.note_lease();
  create trigger note_write after update on public.profiles for each row
    when (new.spotify_refresh_token is distinct from old.spotify_refresh_token) execute function race.note_write();`;

/**
 * Lets an hour pass for users who are not being refreshed, including their floors and backoffs: everybody is due
 * all the time. Locks as the functions do, profile first, without waiting.
 */
const AGE = `
  begin;
  set local session_replication_role = replica;
  create temporary table free on commit drop as
    select p.id from public.profiles p order by p.id for no key update skip locked;
  create temporary table aged on commit drop as
    select c.user_id from spotify_auth.connections c
    where c.user_id in (select id from free) and c.lease_id is null and c.due_at is not null for update skip locked;
  update public.profiles set spotify_token_expires_at = now() + interval '1 minute' where id in (select user_id from aged);
  update spotify_auth.connections set expires_at = now() + interval '1 minute', due_at = now() + interval '1 minute',
    claimable_at = null, attempted_at = attempted_at - interval '1 hour', refreshed_at = refreshed_at - interval '1 hour'
    where user_id in (select user_id from aged);
  commit`;

/** Lasts for so many seconds, and until enough of everything has happened. */
async function run(seconds: number, leastEvents: number, latencyMillis: number): Promise<Race> {
  const { bondhu } = stack.stack;
  const { tokenEndpoint } = stack;
  await stack.sql('delete from auth.users');
  await superuser.query('truncate race.leases, race.writes');
  const ids = await stack.createDueConnections(CONNECTIONS);
  users = await Promise.all(
    ids.map(async (id) => ({ id, authorization: `Bearer ${await stack.userToken(id)}` })),
  );
  tokenEndpoint.configure({ latencyMillis });
  tokenEndpoint.forgetCalls();
  const deadlocksBefore = await countDeadlocks();
  const failures: string[] = [];
  const counts = { statusRefreshes: 0, reauthorizations: 0 };
  const endsAt = performance.now() + seconds * 1_000;
  let isOver = false;

  const sweepers = Array.from({ length: SWEEPERS }, async () => {
    while (!isOver) {
      const { functionError, result } = await stack.sweep();
      // At the end, those who wait for the leases of others are killed.
      if (functionError !== undefined && !isOver) failures.push(JSON.stringify(result));
    }
  });
  const ageing = repeatedly(async () => {
    await superuser.query(AGE);
    await sleep(AGEING_INTERVAL_MILLISECONDS);
  });
  await Promise.all([
    ageing,
    ...Array.from({ length: STATUS_CALLERS }, () =>
      repeatedly(async () => {
        const { id, authorization } = anyUser();
        const answer = await stack.status(id, { authorization });
        if (answer.status !== 200) failures.push(`status call answered ${answer.status}: ${answer.text}`);
        if (answer.body?.auto_refreshed === true) counts.statusRefreshes += 1;
      }),
    ),
    repeatedly(async () => {
      // Alternately any user, and one whom Spotify is being asked about at the moment.
      const asked = counts.reauthorizations % 2 === 0 ? await nextUserAskedAbout() : undefined;
      const { id } = users.find((user) => user.id === asked) ?? anyUser();
      const grant = await tokenEndpoint.createGrant({ userId: id });
      await bondhu
        .store(id, {
          spotify_access_token: grant.accessToken,
          spotify_refresh_token: grant.refreshToken,
          spotify_token_expires_at: naiveUtc(new Date(Date.now() + 60_000)),
          spotify_connected_at: naiveUtc(new Date()),
        })
        .catch((error) => failures.push(String(error)));
      counts.reauthorizations += 1;
      await sleep(WRITE_INTERVAL_MILLISECONDS);
    }),
  ]);
  failures.push(...(await closeQueue()));
  isOver = true;
  await stack.stack.cloud.lambda.killBusyEnvironments();
  await Promise.all(sweepers);

  const leases = await leasesByUser();
  return {
    ...counts,
    calls: tokenEndpoint.calls.length,
    leases: [...leases.values()].flat().length,
    sweepRefreshes: countSweepRefreshes(),
    deadlocks: (await countDeadlocks()) - deadlocksBefore,
    staleWrites: await findStaleWrites(),
    unleasedCalls: findUnleasedCalls(leases),
    // The last, for it calls the token endpoint.
    lostGrants: await findLostGrants(),
    failures,
  };

  function nextUserAskedAbout(): Promise<string | undefined> {
    return Promise.race([tokenEndpoint.nextTokenRequest(), sleep(WRITE_INTERVAL_MILLISECONDS, undefined)]);
  }

  async function repeatedly(act: () => Promise<unknown>): Promise<void> {
    while (performance.now() < endsAt || !hasProvedSomething()) await act();
  }

  function hasProvedSomething(): boolean {
    const { statusRefreshes, reauthorizations } = counts;
    return Math.min(countSweepRefreshes(), statusRefreshes, reauthorizations) >= leastEvents;
  }

  function countSweepRefreshes(): number {
    const refreshes = tokenEndpoint.calls.filter(({ outcome }) => outcome === 'refreshed').length;
    return refreshes - counts.statusRefreshes;
  }
}

/** Takes everybody out of the queue, those under way once they are recorded. @returns a failure where one never is */
async function closeQueue(): Promise<string[]> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    await superuser.query(
      `update spotify_auth.connections set due_at = null where user_id in (
         select user_id from spotify_auth.connections where lease_id is null for update skip locked)`,
    );
    const { rows } = await superuser.query('select from spotify_auth.connections where due_at is not null');
    if (rows.length === 0) return [];
    await sleep(100);
  }
  return ['leases were still held 20 s after the end'];
}

async function countDeadlocks(): Promise<number> {
  const [row] = await stack.sql<{ deadlocks: string }>(
    'select deadlocks from pg_stat_database where datname = current_database()',
  );
  return Number(row?.deadlocks);
}

async function leasesByUser(): Promise<Map<string, TakenLease[]>> {
  const { rows } = await superuser.query<TakenLease & { user_id: string }>(
    'select * from race.leases order by lapses_at',
  );
  return Map.groupBy(rows, ({ user_id }) => user_id);
}

/** Users whose stored refresh token the endpoint refuses, or who are told to reconnect. */
async function findLostGrants(): Promise<string[]> {
  const lost = [...(await stack.usersToldToReconnect()), ...(await findUsersWithRefusedTokens(stack))];
  return [...new Set(lost)];
}

/** Writes that put an older refresh token over a newer one: of an earlier grant, or an earlier one of the same. */
async function findStaleWrites(): Promise<string[]> {
  const { rows } = await superuser.query<{ user_id: string; refresh_token: string }>(
    'select user_id, refresh_token from race.writes order by position',
  );
  return [...Map.groupBy(rows, ({ user_id }) => user_id)].flatMap(([user, writes]) => {
    const ages = writes.map(({ refresh_token }) => {
      const { grantId = '0', generation = 0 } = stack.tokenEndpoint.inspectRefreshToken(refresh_token) ?? {};
      return Number(grantId) * 1e6 + generation;
    });
    return ages.slice(1).flatMap((age, index) => (age < (ages[index] ?? 0) ? [user] : []));
  });
}

/** Calls that no lease of their own covers from beginning to end, and calls for one grant that overlap. */
function findUnleasedCalls(leases: ReadonlyMap<string, TakenLease[]>): string[] {
  const lastEnds = new Map<string, number>();
  return stack.tokenEndpoint.calls
    .toSorted((one, other) => one.at.localeCompare(other.at))
    .flatMap((call) => {
      const start = Date.parse(call.at);
      const end = start + call.durationMillis;
      const lease = leases
        .get(call.userId ?? '')
        // The log of calls knows whole milliseconds.
        ?.find(
          (taken) =>
            !taken.isUsed && taken.taken_at.getTime() <= start + 1 && taken.lapses_at.getTime() >= end,
        );
      if (lease) lease.isUsed = true;
      const grant = call.grantId ?? '';
      const overlaps = start < (lastEnds.get(grant) ?? 0);
      lastEnds.set(grant, end);
      return lease === undefined || overlaps ? [`${call.userId} ${call.at} ${call.outcome}`] : [];
    });
}

function anyUser(): { readonly id: string; readonly authorization: string } {
  return users[Math.floor(Math.random() * users.length)] as (typeof users)[number];
}
