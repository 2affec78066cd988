import { describe, expect, test } from '@jest/globals';
import { parseSweepEvent, UnexpectedEventError } from '../../../lambda/sweeper/sweep-event.ts';

const USER = '6f3c0b52-9d3e-4c57-9a39-3f1c5a0d7e11';

describe('the sweeper understands', () => {
  test('the schedule', () => {
    expect(parseSweepEvent({ sweep: { scheduledAt: '2026-11-24T12:30:00Z' } })).toEqual({
      kind: 'sweep',
      scheduledAt: '2026-11-24T12:30:00Z',
    });
  });

  test('a sweep by hand', () => {
    expect(parseSweepEvent({})).toEqual({ kind: 'sweep', scheduledAt: null });
  });

  test('one user to refresh, in any case', () => {
    expect(parseSweepEvent({ userId: USER.toUpperCase() })).toEqual({ kind: 'refresh_user', userId: USER });
  });
});

describe('the sweeper refuses', () => {
  test.each([
    null,
    undefined,
    '',
    'sweep',
    7,
    [],
    [{}],
    { userId: 'me' },
    { userId: USER, force: true },
    { userId: USER, sweep: { scheduledAt: '2026-11-24T12:30:00Z' } },
    { user_id: USER },
    { sweep: {} },
    { sweep: { scheduledAt: 'soon' } },
    { sweep: { scheduledAt: '<aws.scheduler.scheduled-time>' } },
    { sweep: { scheduledAt: '2026-11-24T12:30:00Z', limit: 3 } },
    { Records: [{ eventSource: 'aws:sqs', body: '{}' }] },
    { refreshToken: 'a-token-somebody-pasted' },
  ])('%j, says what it takes, and does not repeat the event', (event) => {
    expect(() => parseSweepEvent(event)).toThrow(UnexpectedEventError);
    expect(() => parseSweepEvent(event)).toThrow(
      /\{"sweep": .*\{\} for a sweep by hand.*\{"userId": "<uuid>"\}/,
    );
    expect(() => parseSweepEvent(event)).not.toThrow(/a-token-somebody-pasted|limit|Records/);
  });
});
