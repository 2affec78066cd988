import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Secret, SUPABASE_CREDENTIALS } from '../../../lambda/adapters/secret.ts';
import { SupabaseAdministration } from '../../../lambda/adapters/supabase-administration.ts';
import { SupabaseEventStore } from '../../../lambda/adapters/supabase-event-store.ts';
import { SupabaseFunctions } from '../../../lambda/adapters/supabase-functions.ts';
import type { ReauthorizationEvent } from '../../../lambda/connection/reauthorization-event.ts';
import { FakeSecretsManager } from '../fakes/fake-secrets-manager.ts';
import { FakeHttpServer, json } from '../fakes/http-server.ts';
import { RecordingMetrics } from '../fakes/recording-metrics.ts';
import { healthyStatistics } from '../fakes/statistics.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const USER = '6f3c0b52-9d3e-4c57-9a39-3f1c5a0d7e11';
const TIMEOUT_MILLISECONDS = 5_000;

let supabase: FakeHttpServer;
let functions: SupabaseFunctions;

beforeAll(async () => {
  supabase = await FakeHttpServer.start();
});
afterAll(() => supabase.stop());
beforeEach(() => {
  supabase.reset();
  const secretsManager = new FakeSecretsManager({ secret_key: 'sb_secret_1' });
  const secret = new Secret(secretsManager.reader, 'arn', SUPABASE_CREDENTIALS, new VirtualClock());
  functions = new SupabaseFunctions(supabase.url, secret, new RecordingMetrics());
});

describe('events', () => {
  const rows = [
    {
      kind: 'required',
      id: 'a',
      user_id: USER,
      since: '2026-11-24T12:00:00.123456+00:00',
      reason: 'grant_revoked',
    },
    {
      kind: 'due',
      id: 'b',
      user_id: USER,
      connected_at: '2026-05-30T08:00:00.654321+00:00',
      reauthorize_by: '2026-11-30T08:00:00.654321+00:00',
      days: 7,
    },
  ];
  const events: ReauthorizationEvent[] = [
    {
      kind: 'required',
      id: 'a',
      userId: USER,
      since: '2026-11-24T12:00:00.123456+00:00',
      reason: 'grant_revoked',
    },
    {
      kind: 'due',
      id: 'b',
      userId: USER,
      connectedAt: '2026-05-30T08:00:00.654321+00:00',
      reauthorizeBy: '2026-11-30T08:00:00.654321+00:00',
      days: 7,
    },
  ];

  test('are read with their times as the database wrote them', async () => {
    supabase.respond = json(200, rows);
    expect(await new SupabaseEventStore(functions).pending(1_000, TIMEOUT_MILLISECONDS)).toEqual(events);
    expect(sent()).toEqual(['spotify_pending_events', { batch_size: 1_000 }]);
  });

  test('that were sent go back with the very same times, to the microsecond', async () => {
    supabase.respond = json(200, 2);
    expect(await new SupabaseEventStore(functions).recordSent(events, TIMEOUT_MILLISECONDS)).toBe(2);
    expect(sent()).toEqual([
      'spotify_record_events',
      {
        events: [
          { kind: 'required', user_id: USER, since: '2026-11-24T12:00:00.123456+00:00' },
          { kind: 'due', user_id: USER, connected_at: '2026-05-30T08:00:00.654321+00:00', days: 7 },
        ],
      },
    ]);
  });

  test.each(['grant_revoked', 'no_refresh_token'])('are read with their reason: %s', async (reason) => {
    supabase.respond = json(200, [{ ...rows[0], reason }]);
    expect(await new SupabaseEventStore(functions).pending(1_000, TIMEOUT_MILLISECONDS)).toEqual([
      { ...events[0], reason },
    ]);
  });

  test('of an unknown kind are refused', async () => {
    supabase.respond = json(200, [{ ...rows[0], kind: 'other' }]);
    await expect(
      new SupabaseEventStore(functions).pending(1_000, TIMEOUT_MILLISECONDS),
    ).rejects.toMatchObject({ code: 'STORE_ANSWER_UNEXPECTED' });
  });
});

test('the end of a sweep brings how the connections stand, as the database gives it', async () => {
  const finished = { ...healthyStatistics, newly_missed_profile_changes: 6, due: 3 };
  supabase.respond = json(200, finished);
  expect(await new SupabaseAdministration(functions).finishSweep(true)).toEqual(finished);
  expect(sent()).toEqual(['spotify_finish_sweep', { did_its_work: true }]);
});

test('statistics in which something is missing are refused', async () => {
  const { connected: _, ...rest } = healthyStatistics;
  supabase.respond = json(200, rest);
  const administration = new SupabaseAdministration(functions);
  for (const answer of [administration.finishSweep(true), administration.statistics()]) {
    await expect(answer).rejects.toMatchObject({ code: 'STORE_ANSWER_UNEXPECTED' });
  }
});

describe('an operator', () => {
  test.each(['connected', 'reauthorization_required', 'disconnected', 'never_connected', 'unknown_user'])(
    'sees a connection as the database shows it: %s',
    async (state) => {
      const shown = { user_id: USER, state, seconds_left: 12.5, leased: false };
      supabase.respond = json(200, shown);
      expect(await new SupabaseAdministration(functions).show(USER)).toEqual(shown);
      expect(sent()).toEqual(['spotify_show_connection', { for_user: USER }]);
    },
  );

  test('sees the statistics as the database gives them', async () => {
    const statistics = { ...healthyStatistics, held: 2 };
    supabase.respond = json(200, statistics);
    expect(await new SupabaseAdministration(functions).statistics()).toEqual(statistics);
  });

  test('restores marks made since a moment', async () => {
    supabase.respond = json(200, 3);
    expect(await new SupabaseAdministration(functions).restore('2026-11-24T03:00:00Z', 10)).toBe(3);
    expect(sent()).toEqual([
      'spotify_restore_connections',
      { since: '2026-11-24T03:00:00Z', batch_size: 10 },
    ]);
  });

  test('counts the marks that could be undone', async () => {
    supabase.respond = json(200, 12);
    expect(await new SupabaseAdministration(functions).countRestorable('2026-11-24T03:00:00Z')).toBe(12);
    expect(sent()).toEqual(['spotify_count_restorable', { since: '2026-11-24T03:00:00Z' }]);
  });

  test('sees what became of a connection, and a history that cannot be read is refused', async () => {
    const change = { changed_at: '2026-11-24T03:00:00+00:00', change: 'revoked', reason: 'expired' };
    const explained = { user_id: USER, state: 'reauthorization_required', changes: [change] };
    supabase.respond = json(200, explained);
    expect(await new SupabaseAdministration(functions).explain(USER)).toEqual(explained);
    expect(sent()).toEqual(['spotify_explain_connection', { for_user: USER }]);

    supabase.respond = json(200, { ...explained, changes: null });
    await expect(new SupabaseAdministration(functions).explain(USER)).rejects.toMatchObject({
      code: 'STORE_ANSWER_UNEXPECTED',
    });
  });

  test.each([USER, null])('finds a user by the e-mail of the account: %s', async (found) => {
    supabase.respond = json(200, found);
    expect(await new SupabaseAdministration(functions).findUser('someone@example.com')).toBe(found);
    expect(sent()).toEqual(['spotify_find_user', { email: 'someone@example.com' }]);
  });
});

/** The function that was called last, and its arguments. */
function sent(): unknown[] {
  const { path, body } = supabase.requests.at(-1) ?? { path: '', body: 'null' };
  return [path.replace('/rest/v1/rpc/', ''), JSON.parse(body)];
}
