import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { isLogged } from 'cdk-out-local';
import { PowertoolsMetrics } from '../../lambda/adapters/powertools-metrics.ts';
import { logLevel } from '../../lib/settings/setting-rules.ts';
import { findProperties } from './find-resources.ts';
import { synthesize } from './synthesize.ts';

afterEach(() => {
  jest.restoreAllMocks();
});

describe('each function', () => {
  const tokenIssuers = ['https://auth.example.com/auth/v1'];
  const template = synthesize({ logRetentionDays: 90, tokenIssuers });
  const functions = findProperties(template, 'AWS::Lambda::Function');

  test('runs Node 24 on arm64, from an ESM bundle', () => {
    expect(functions).toHaveLength(2);
    for (const properties of functions) {
      expect(properties).toMatchObject({
        Runtime: 'nodejs24.x',
        Architectures: ['arm64'],
        Handler: 'index.handler',
      });
    }
  });

  test('takes the user tokens of the issuers that are configured', () => {
    for (const { Environment } of functions) {
      expect(JSON.parse(Environment.Variables.SUPABASE_TOKEN_ISSUERS)).toEqual(tokenIssuers);
    }
  });

  test('logs JSON into a group of its own that keeps them as long as configured', () => {
    const groups = template.findResources('AWS::Logs::LogGroup');

    for (const [index, { LoggingConfig }] of functions.entries()) {
      expect(LoggingConfig).toEqual({
        ApplicationLogLevel: 'INFO',
        LogFormat: 'JSON',
        LogGroup: { Ref: expect.any(String) },
      });
      expect(groups[LoggingConfig.LogGroup.Ref]).toMatchObject({
        Properties: {
          LogGroupName: `/aws/lambda/SpotifyAuth-test-${['status', 'sweeper'][index]}`,
          RetentionInDays: 90,
        },
        DeletionPolicy: 'Delete',
      });
    }
  });

  test.each(logLevel.options)('keeps its metrics at the log level %s', (level) => {
    const lines: string[] = [];
    jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => lines.push(String(chunk)) > 0);
    new PowertoolsMetrics('SpotifyAuth-test').add({ sweepRefreshed: 12, supabaseKeyRejected: 1 });
    jest.restoreAllMocks();

    expect(lines).toHaveLength(1);
    for (const { LoggingConfig } of findProperties(
      synthesize({ logLevel: level }),
      'AWS::Lambda::Function',
    )) {
      expect(LoggingConfig).toMatchObject({ ApplicationLogLevel: level });
      expect(lines.filter((line) => isLogged(line, LoggingConfig))).toEqual(lines);
    }
  });

  test('takes no share of the concurrency from the rest of the account', () => {
    for (const properties of functions) expect(properties).not.toHaveProperty('ReservedConcurrentExecutions');
  });
});
