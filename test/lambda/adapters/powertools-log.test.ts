import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Context } from 'aws-lambda';
import { PowertoolsLog } from '../../../lambda/adapters/powertools-log.ts';

let written: string[];
let log: PowertoolsLog;

beforeEach(() => {
  written = [];
  for (const stream of [process.stdout, process.stderr]) {
    jest.spyOn(stream, 'write').mockImplementation((chunk) => {
      written.push(String(chunk));
      return true;
    });
  }
  log = new PowertoolsLog('status');
});
afterEach(() => {
  jest.restoreAllMocks();
});

describe('the log', () => {
  test('writes one line of JSON for each call', () => {
    log.info('status answered', { user_id: 'a', seconds_left: 12.5, needs_refresh: false });
    log.warn('status refused', { status: 401 });
    log.error('sweeper failed', { code: 'STORE_UNAVAILABLE', reason: 'two\nlines' });
    expect(written.join('').trimEnd().split('\n')).toHaveLength(3);
    expect(lines()).toMatchObject([
      { level: 'INFO', service: 'status', message: 'status answered', user_id: 'a', seconds_left: 12.5 },
      { level: 'WARN', service: 'status', message: 'status refused', status: 401 },
      { level: 'ERROR', service: 'status', message: 'sweeper failed', reason: 'two\nlines' },
    ]);
  });

  test.each([
    ['DEBUG', true],
    ['INFO', false],
  ])('at level %s writes lines for debugging: %p', (level, writesDebug) => {
    process.env['AWS_LAMBDA_LOG_LEVEL'] = level;
    const own = new PowertoolsLog('status');
    delete process.env['AWS_LAMBDA_LOG_LEVEL'];
    own.debug('token refresh', {});
    expect(own.writesDebug).toBe(writesDebug);
    expect(written).toHaveLength(writesDebug ? 1 : 0);
  });

  test('leaves out what is undefined', () => {
    log.info('token refresh', { user_id: 'a', reason: undefined });
    expect(lines()[0]).not.toHaveProperty('reason');
  });

  test('puts the ids of the invocation on every line', () => {
    log.startInvocation(contextOf('invocation-1'), 'api-request-1');
    log.info('one', {});
    log.info('two', {});
    const ids = { function_request_id: 'invocation-1', request_id: 'api-request-1' };
    expect(lines()).toMatchObject([ids, ids]);
  });

  test('forgets the ids of the invocation before', () => {
    log.startInvocation(contextOf('invocation-1'), 'api-request-1');
    log.startInvocation(contextOf('invocation-2'));
    log.info('one', {});
    expect(lines()).toMatchObject([{ function_request_id: 'invocation-2' }]);
    expect(written.join('')).not.toMatch(/invocation-1|api-request-1/);
  });

  test('does not carry the fields of one line over to the next', () => {
    log.info('one', { user_id: 'a' });
    log.info('two', {});
    expect(lines()[1]).not.toHaveProperty('user_id');
  });
});

function lines(): Record<string, unknown>[] {
  return written
    .join('')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

function contextOf(requestId: string): Context {
  return {
    awsRequestId: requestId,
    functionName: 'status',
    functionVersion: '$LATEST',
    invokedFunctionArn: 'arn:aws:lambda:eu-central-1:123456789012:function:status',
    memoryLimitInMB: '512',
  } as Context;
}
