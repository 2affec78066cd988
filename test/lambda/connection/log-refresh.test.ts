import { describe, expect, test } from '@jest/globals';
import type { Verdict } from '../../../lambda/connection/connection-store.ts';
import { logRefresh } from '../../../lambda/connection/log-refresh.ts';
import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { answersOfEachKind, refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { aLease } from '../fakes/leases.ts';
import { RecordingLog } from '../fakes/recording-log.ts';

describe('the line about a refresh', () => {
  test('about a stored token has the level that was asked for', () => {
    expect(lineAbout(refreshedAnswer())).toMatchObject({ level: 'debug', fields: { outcome: 'refreshed' } });
  });

  test('about a stored token is not even built unless debugging; a warning is', () => {
    const log = new RecordingLog();
    log.writesDebug = false;
    logRefresh(log, aLease(), refreshedAnswer(), 'applied', 'debug');
    logRefresh(log, aLease(), refreshedAnswer(), 'stale', 'debug');
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { verdict: 'stale' } }]);
  });

  test('about a token that a repeated call found stored has that level too', () => {
    expect(lineAbout(refreshedAnswer(), 'already_applied')).toMatchObject({ level: 'debug' });
  });

  test.each(['busy', 'refused', 'stale', 'unsettled'] as const)(
    'about a token of which the database says %s is a warning',
    (verdict) => {
      expect(lineAbout(refreshedAnswer(), verdict)).toMatchObject({ level: 'warn', fields: { verdict } });
    },
  );

  test('about a token of unknown age names no expiry', () => {
    const log = new RecordingLog();
    logRefresh(log, aLease({ secondsLeft: null }), refreshedAnswer(), 'applied', 'info');
    expect(log.lines).toMatchObject([{ fields: { expires_at: null, seconds_left: null } }]);
  });

  test('about a grant that was found dead before is none', () => {
    const confirmed = lineAbout({ kind: 'revoked', reason: 'revoked' }, 'confirmed');
    expect(confirmed).toMatchObject({ level: 'debug', fields: { verdict: 'confirmed' } });
  });

  test('about a stored token with something odd beside it is a warning, and says what', () => {
    expect(
      lineAbout({ ...refreshedAnswer(), reason: 'unusable refresh_token' } as TokenAnswer),
    ).toMatchObject({
      level: 'warn',
      fields: { outcome: 'refreshed', reason: 'unusable refresh_token' },
    });
  });

  test.each(answersOfEachKind.filter(({ kind }) => kind !== 'refreshed'))(
    'about $kind is a warning',
    (answer) => {
      expect(lineAbout(answer)).toMatchObject({
        level: 'warn',
        fields: { outcome: answer.kind, reason: 'reason' in answer ? answer.reason : undefined },
      });
    },
  );
});

function lineAbout(answer: TokenAnswer, verdict: Verdict | 'unsettled' = 'applied') {
  const log = new RecordingLog();
  logRefresh(log, aLease(), answer, verdict, 'debug');
  expect(log.lines).toHaveLength(1);
  return log.lines[0];
}
