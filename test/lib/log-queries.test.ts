import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { synthesize } from './synthesize.ts';

const lambda = join(import.meta.dirname, '../../lambda');
const queries = Object.values(synthesize().findResources('AWS::Logs::QueryDefinition')).map(
  ({ Properties }) => Properties,
);

describe('the saved queries', () => {
  test('lie in a folder of the stack', () => {
    expect(queries.map(({ Name }) => Name)).toEqual([
      'SpotifyAuth-test/refresh history of one user',
      'SpotifyAuth-test/failures by reason in the last day',
      'SpotifyAuth-test/slowest status calls',
      'SpotifyAuth-test/throttling timeline',
      'SpotifyAuth-test/profiles that refuse tokens',
    ]);
  });

  test('read the logs of the functions that write what they look for', () => {
    const [status, sweeper] = ['StatusApiStatusFunctionLogs', 'RefreshSweeperSweeperFunctionLogs'].map(
      (id) => ({ Ref: expect.stringMatching(new RegExp(`^${id}`)) }),
    );

    expect(queries.map(({ LogGroupNames }) => LogGroupNames)).toEqual([
      [status, sweeper],
      [status, sweeper],
      [status],
      [status, sweeper],
      [status, sweeper],
    ]);
  });

  test('ask this', () => {
    expect(queries.map(({ QueryString }) => QueryString.split('\n| '))).toEqual([
      [
        'fields @timestamp, message, outcome, reason, verdict, expires_at, seconds_left, new_expires_at, needs_refresh, auto_refreshed',
        'filter user_id = "put the user id here"',
        'sort @timestamp desc',
      ],
      [
        'filter message = "token refresh" and level = "WARN"',
        'filter toMillis(@timestamp) >= now() * 1000 - 86400000',
        'stats count(*) as failures, count_distinct(user_id) as users by outcome, verdict, reason',
        'sort failures desc',
      ],
      [
        'fields @timestamp, latency_ms, message, outcome, auto_refreshed, needs_refresh, user_id, request_id',
        'filter ispresent(latency_ms)',
        'sort latency_ms desc',
        'limit 50',
      ],
      [
        'filter message = "token refresh" and outcome = "throttled"',
        'stats count(*) as answers, count_distinct(user_id) as users by bin(5m)',
      ],
      [
        'filter message = "profile refuses its tokens"',
        'stats count(*) as refusals, count_distinct(user_id) as users, max(@timestamp) as last by sql_state, constraint',
        'sort users desc',
      ],
    ]);
  });

  test('know the fields and the messages of log lines by the names that the functions give them', () => {
    const sources = readdirSync(lambda, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => readFileSync(join(lambda, file), 'utf8'))
      .join('\n');
    const text = queries.map(({ QueryString }) => QueryString).join('\n');
    const fields = text.match(/\b(?:[a-z]+_[a-z_]+|outcome|reason|verdict|constraint)\b/g) ?? [];
    const asked = [...new Set<string>(fields)].filter((field) => field !== 'count_distinct');

    expect(asked.length).toBeGreaterThan(8);
    expect(asked.filter((field) => !new RegExp(`\\b${field}[:,}]`).test(sources))).toEqual([]);
    expect(sources.includes("'token refresh'")).toBe(true);
    expect(sources.includes("'profile refuses its tokens'")).toBe(true);
    expect(sources.includes("kind: 'throttled'")).toBe(true);
  });
});
