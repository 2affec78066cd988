import { describe, expect, test } from '@jest/globals';
import { readLogLine } from '../../demo/log-line.ts';
import { formatLogLine } from '../../local/log-line.ts';

const STATUS_FUNCTION = 'SpotifyAuth-local-StatusApiStatusFunction9305416D-8d42434a5f6c';

/** What a terminal shows of it, without the time. */
function show(source: string, fields: object | string): string | undefined {
  const text = typeof fields === 'string' ? fields : JSON.stringify(fields);
  const line = readLogLine(source, text, (id) => (id === '01a2' ? 'expiring' : id));
  return line && formatLogLine(line).replace(/^\d\d:\d\d:\d\d {2}/, '');
}

describe('a line for people', () => {
  test.each<[string, string, object | string, string]>([
    [
      'of an answer: function, what, user, outcome, milliseconds',
      STATUS_FUNCTION,
      {
        level: 'INFO',
        message: 'status answered',
        service: 'status',
        function_arn: 'arn',
        user_id: '01a2',
        outcome: 'connected',
        expires_at: '2026-11-26T20:58:42.257Z',
        auto_refreshed: true,
        latency_ms: 42,
      },
      'status   status answered  expiring               connected  42 ms  auto_refreshed',
    ],
    [
      'of a sweep: without what is zero',
      'sweeper',
      {
        level: 'INFO',
        message: 'sweep finished',
        service: 'sweeper',
        status: 'completed',
        refreshed: 3,
        failed: 0,
        duration_ms: 104,
        role: 'first',
        link: 0,
      },
      'sweeper  sweep finished                          completed  104 ms  refreshed=3',
    ],
    [
      'of an event',
      'EventBridge',
      { 'detail-type': 'SpotifyReauthorizationDue', detail: { user_id: '01a2', days: 7 } },
      'EventBridge  event SpotifyReauthorizationDue  expiring               days=7',
    ],
    [
      'of an invocation that did not end by itself',
      STATUS_FUNCTION,
      { type: 'platform.report', record: { status: 'timeout', errorType: 'Sandbox.Timedout' } },
      'status   invocation ended                         timeout  Sandbox.Timedout',
    ],
    [
      'of a call that reached no function',
      'Api',
      { routeKey: '-', status: '404', responseLatency: '0', integrationError: '-', error: 'Not Found' },
      'API      answered 404: Not Found                         0 ms',
    ],
    ['that is no JSON, as it is', STATUS_FUNCTION, 'at main (index.mjs:1)', 'status   at main (index.mjs:1)'],
  ])('%s', (_what, source, fields, expected) => {
    expect(show(source, fields)).toBe(expected);
  });

  test.each([
    ['metrics', { _aws: { Timestamp: 1 }, StatusLatency: 1 }],
    [
      'a call of which its function tells',
      { routeKey: 'GET /', status: '200', error: '-', integrationError: '-' },
    ],
    ['an empty line', ''],
  ])('there is none for %s', (_what, fields) => {
    expect(show(STATUS_FUNCTION, fields)).toBeUndefined();
  });
});
