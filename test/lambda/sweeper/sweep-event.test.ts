import { describe, expect, test } from '@jest/globals';
import { parseSweepEvent, UnexpectedEventError } from '../../../lambda/sweeper/sweep-event.ts';

const SCHEDULED_AT = '2026-11-24T12:30:00Z';
const USER = '6f3c0b52-9d3e-4c57-9a39-3f1c5a0d7e11';

describe('the sweeper understands', () => {
  test('the schedule', () => {
    expect(parseSweepEvent({ command: 'sweep', scheduledAt: SCHEDULED_AT })).toEqual({
      command: 'sweep',
      part: { role: 'first', scheduledAt: SCHEDULED_AT, ageSeconds: 0, link: 0 },
    });
  });

  test('a sweep by hand', () => {
    expect(parseSweepEvent({ command: 'sweep' })).toEqual({
      command: 'sweep',
      part: { role: 'first', scheduledAt: null, ageSeconds: 0, link: 0 },
    });
  });

  test('a message of the sweep queue, whose time in the queue counts by the clock of the queue', () => {
    const wakeUp = { scheduledAt: SCHEDULED_AT, ageSeconds: 12, link: 1 };
    expect(
      parseSweepEvent(messageEvent(JSON.stringify(wakeUp), 1_790_000_000_000, 1_790_000_031_500)),
    ).toEqual({
      command: 'sweep',
      part: { role: 'helper', scheduledAt: SCHEDULED_AT, ageSeconds: 43.5, link: 1 },
    });
  });

  test('a message that is received as soon as the sweep began', () => {
    const wakeUp = { scheduledAt: null, ageSeconds: 0, link: 0 };
    expect(parseSweepEvent(messageEvent(JSON.stringify(wakeUp)))).toEqual({
      command: 'sweep',
      part: { role: 'helper', ...wakeUp },
    });
  });

  test('one user to refresh, in any case', () => {
    expect(parseSweepEvent({ command: 'refresh', userId: USER.toUpperCase() })).toEqual({
      command: 'refresh',
      userId: USER,
    });
  });

  test.each([
    [
      { command: 'show', userId: USER.toUpperCase() },
      { command: 'show', userId: USER },
    ],
    [{ command: 'statistics' }, { command: 'statistics' }],
    [
      { command: 'restore', since: SCHEDULED_AT },
      { command: 'restore', since: SCHEDULED_AT, dryRun: false },
    ],
    [
      { command: 'restore', since: SCHEDULED_AT, dryRun: true },
      { command: 'restore', since: SCHEDULED_AT, dryRun: true },
    ],
    [
      { command: 'explain', userId: USER.toUpperCase() },
      { command: 'explain', userId: USER },
    ],
    [
      { command: 'find', email: 'someone@example.com' },
      { command: 'find', email: 'someone@example.com' },
    ],
    [
      { command: 'try-secret', secret: 'spotify', value: { client_id: 'id' } },
      { command: 'try-secret', secret: 'spotify', value: { client_id: 'id' } },
    ],
    [
      { command: 'try-secret', secret: 'supabase', value: { secret_key: 'key' } },
      { command: 'try-secret', secret: 'supabase', value: { secret_key: 'key' } },
    ],
    [{ command: 'doctor' }, { command: 'doctor' }],
  ])('what operators ask for: %j', (event, expected) => {
    expect(parseSweepEvent(event)).toEqual(expected);
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
    {},
    { command: 'resweep' },
    { command: 'refresh' },
    { command: 'refresh', userId: 'me' },
    { command: 'refresh', userId: USER, force: true },
    { command: 'refresh', user_id: USER },
    { userId: USER },
    { command: 'sweep', userId: USER },
    { command: 'sweep', scheduledAt: 'soon' },
    { command: 'sweep', scheduledAt: '<aws.scheduler.scheduled-time>' },
    { command: 'sweep', scheduledAt: '2026-11-24T12:30:00Z', limit: 3 },
    { command: 'show', userId: 'me' },
    { command: 'show', userId: USER, statistics: true },
    { command: 'statistics', userId: USER },
    { command: 'restore' },
    { command: 'restore', since: 'yesterday' },
    { command: 'restore', since: '2026-11-24' },
    { command: 'restore', since: SCHEDULED_AT, dryRun: 'no' },
    { command: 'find' },
    { command: 'find', email: 'a'.repeat(255) },
    { command: 'try-secret', secret: 'rescue', value: { key: 'a-token-somebody-pasted' } },
    { command: 'try-secret', secret: 'spotify', value: 'a-token-somebody-pasted' },
    { command: ['doctor'] },
    { command: 'sweep', Records: [] },
    { Records: [] },
    { Records: [{ eventSource: 'aws:sqs', body: '{}' }] },
    messageEvent('not JSON'),
    messageEvent('{}'),
    messageEvent('{"scheduledAt":null,"ageSeconds":-1,"link":0}'),
    messageEvent('{"scheduledAt":null,"ageSeconds":0,"link":0,"limit":1}'),
    { refreshToken: 'a-token-somebody-pasted' },
  ])('%j, says what it takes, and does not repeat the event', (event) => {
    expect(() => parseSweepEvent(event)).toThrow(UnexpectedEventError);
    expect(() => parseSweepEvent(event)).toThrow(expect.objectContaining({ code: 'EVENT_UNEXPECTED' }));
    expect(() => parseSweepEvent(event)).toThrow(
      /\{"command": "sweep"\}.*\{"command": "refresh", "userId": "<uuid>"\}/,
    );
    expect(() => parseSweepEvent(event)).not.toThrow(/a-token-somebody-pasted|limit|Records/);
  });
});

/** An event as the event source mapping hands it over. */
function messageEvent(body: string, sentAt = 1_790_000_000_000, receivedAt = sentAt) {
  return {
    Records: [
      {
        messageId: '059f36b4-87a3-44ab-83d2-661975830a7d',
        receiptHandle: 'AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a',
        body,
        attributes: {
          ApproximateReceiveCount: '1',
          SentTimestamp: String(sentAt),
          SenderId: 'AROAEXAMPLE',
          ApproximateFirstReceiveTimestamp: String(receivedAt),
        },
        messageAttributes: {},
        md5OfBody: 'e4e68fb7bd0e697a0ae8f1bb342846b3',
        eventSource: 'aws:sqs',
        eventSourceARN: 'arn:aws:sqs:eu-central-1:123456789012:queue',
        awsRegion: 'eu-central-1',
      },
    ],
  };
}
