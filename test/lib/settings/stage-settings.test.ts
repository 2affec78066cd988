import { describe, expect, test } from '@jest/globals';
import { parseStageConfiguration, StageConfigurationError } from '../../../lib/stage-configuration.ts';
import { requiredSettings } from '../required-settings.ts';

describe('a stage', () => {
  test('gets the documented defaults for what it leaves out', () => {
    expect(parseStageConfiguration('prod', { prod: requiredSettings })).toEqual({
      ...requiredSettings,
      spotifyTokenUrl: 'https://accounts.spotify.com/api/token',
      sweepIntervalMinutes: 30,
      expectedSweepMinutes: 5,
      sweepBatchSize: 600,
      sweepConnectionsPerInvocation: 100_000,
      sweepMaxConcurrency: 2,
      sweeperTimeoutSeconds: 900,
      sweeperMemoryMegabytes: 1024,
      statusRefreshMarginMinutes: 5,
      statusBudgetSeconds: 8,
      statusTimeoutSeconds: 10,
      statusMemoryMegabytes: 512,
      throttleRequestsPerSecond: 100,
      throttleBurstRequests: 200,
      logLevel: 'INFO',
      logRetentionDays: 30,
      eventBus: 'default',
      terminationProtection: false,
    });
  });

  test('may set every one of them', () => {
    const settings = {
      supabaseUrl: 'http://127.0.0.1:54321',
      allowedOrigins: ['http://localhost:3000', 'https://app.example.com:8443'],
      spotifyTokenUrl: 'http://localhost:54329/api/token',
      sweepIntervalMinutes: 24,
      expectedSweepMinutes: 30,
      sweepBatchSize: 1000,
      sweepConnectionsPerInvocation: 1,
      sweepMaxConcurrency: 1000,
      spotifyCallsPerSecond: 1,
      sweeperTimeoutSeconds: 60,
      sweeperMemoryMegabytes: 10240,
      statusRefreshMarginMinutes: 30,
      statusBudgetSeconds: 28,
      statusTimeoutSeconds: 29,
      statusMemoryMegabytes: 128,
      throttleRequestsPerSecond: 1,
      throttleBurstRequests: 1,
      logLevel: 'DEBUG',
      logRetentionDays: 365,
      alarmTopicArn: 'arn:aws:sns:eu-west-1:123456789012:alarms',
      runbookUrl: 'https://wiki.example.com/runbook',
      eventBus: 'arn:aws:events:eu-west-1:123456789012:event-bus/bondhu',
      spotifySecretArn: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:bondhu/spotify-AbCdEf',
      supabaseSecretArn: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:supabase-AbCdEf',
      domainName: 'spotify-auth.example.com',
      certificateArn: 'arn:aws:acm:eu-west-1:123456789012:certificate/12345678-90ab-cdef-1234-567890abcdef',
      tags: { team: 'platform', 'cost centre': '12/b', empty: '' },
      terminationProtection: true,
      permissionsBoundary: 'arn:aws:iam::123456789012:policy/platform/boundary',
      bootstrapQualifier: 'bondhuprod',
    };

    expect(parseStageConfiguration('prod', { prod: settings })).toEqual(settings);
  });

  test.each(['bondhu', 'bondhu.prod/eu_1', 'default'])('may name its event bus %s', (eventBus) => {
    expect(parseStageConfiguration('prod', { prod: { ...requiredSettings, eventBus } })).toMatchObject({
      eventBus,
    });
  });

  test('may name what is in another partition of AWS', () => {
    const spotifySecretArn = 'arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:spotify-AbCdEf';

    expect(
      parseStageConfiguration('prod', { prod: { ...requiredSettings, spotifySecretArn } }),
    ).toMatchObject({
      spotifySecretArn,
    });
  });

  test('may have alarms sent to an address', () => {
    const alarmEmail = 'platform+alarms@example.com';

    expect(parseStageConfiguration('prod', { prod: { ...requiredSettings, alarmEmail } })).toMatchObject({
      alarmEmail,
    });
  });
});

const supabaseUrl = 'must be an address such as https://<project>.supabase.co, without a path, got';
const origin =
  'must be an exact origin such as https://app.example.com, without *, path or trailing slash, got';
const origins = 'must be a list of origins such as ["https://app.example.com"], got';
const tokenUrl = 'must be an address such as https://accounts.spotify.com/api/token, got';
const retention =
  'must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653, got';
const topicArn = 'must be the ARN of an SNS topic such as arn:aws:sns:eu-west-1:123456789012:alarms, got';
const email = 'must be an e-mail address such as platform@example.com, got';
const runbook = 'must be an address such as https://wiki.example.com/runbook, without #, got';
const eventBus =
  'must be the name or the ARN of an event bus such as arn:aws:events:eu-west-1:123456789012:event-bus/bondhu, got';
const secretArn =
  'must be the complete ARN of a secret such as arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-AbCdEf';
const domain = 'must be a domain in lower case such as spotify-auth.example.com, got';
const certificateArn =
  'must be the ARN of a certificate such as arn:aws:acm:eu-west-1:123456789012:certificate/12345678-90ab-cdef-1234-567890abcdef, got';
const tag = 'must be a tag of letters, digits, spaces and _.:/=+-@, not starting with aws:, got';
const unknown =
  'is not a setting, use one of supabaseUrl, tokenIssuers, allowedOrigins, spotifyTokenUrl, sweepIntervalMinutes, expectedSweepMinutes, sweepBatchSize, sweepConnectionsPerInvocation, sweepMaxConcurrency, spotifyCallsPerSecond, sweeperTimeoutSeconds, sweeperMemoryMegabytes, statusRefreshMarginMinutes, statusBudgetSeconds, statusTimeoutSeconds, statusMemoryMegabytes, throttleRequestsPerSecond, throttleBurstRequests, logLevel, logRetentionDays, alarmTopicArn, alarmEmail, runbookUrl, eventBus, spotifySecretArn, supabaseSecretArn, domainName, certificateArn, tags, terminationProtection, permissionsBoundary, bootstrapQualifier';

describe('a setting that cannot be used is refused with one line that says what to write', () => {
  test.each<[settings: Record<string, unknown>, line: string]>([
    [{ supabaseUrl: undefined }, `supabaseUrl: ${supabaseUrl} nothing`],
    [{ supabaseUrl: null }, `supabaseUrl: ${supabaseUrl} null`],
    [{ supabaseUrl: 'abc.supabase.co' }, `supabaseUrl: ${supabaseUrl} "abc.supabase.co"`],
    [{ supabaseUrl: 'http://abc.supabase.co' }, `supabaseUrl: ${supabaseUrl} "http://abc.supabase.co"`],
    [{ supabaseUrl: 'https://abc.supabase.co/' }, `supabaseUrl: ${supabaseUrl} "https://abc.supabase.co/"`],
    [
      { supabaseUrl: 'https://abc.supabase.co/rest/v1' },
      `supabaseUrl: ${supabaseUrl} "https://abc.supabase.co/rest/v1"`,
    ],
    [
      { supabaseUrl: 'https://a:b@abc.supabase.co' },
      `supabaseUrl: ${supabaseUrl} "https://a:b@abc.supabase.co"`,
    ],
    [
      { tokenIssuers: 'https://a.example/auth/v1' },
      'tokenIssuers: must be a list of addresses such as ["https://auth.example.com/auth/v1"], got "https://a.example/auth/v1"',
    ],
    [
      { tokenIssuers: [] },
      'tokenIssuers: must be a list of at least one address such as ["https://auth.example.com/auth/v1"], got []',
    ],
    [
      { tokenIssuers: ['a.example'] },
      'tokenIssuers.0: must be an address such as https://auth.example.com/auth/v1, got "a.example"',
    ],
    [{ allowedOrigins: undefined }, `allowedOrigins: ${origins} nothing`],
    [{ allowedOrigins: 'https://a.example' }, `allowedOrigins: ${origins} "https://a.example"`],
    [
      { allowedOrigins: [] },
      'allowedOrigins: must be a list of at least one origin such as ["https://app.example.com"], got []',
    ],
    [{ allowedOrigins: ['*'] }, `allowedOrigins.0: ${origin} "*"`],
    [
      { allowedOrigins: ['https://a.example', 'https://*.b.example'] },
      `allowedOrigins.1: ${origin} "https://*.b.example"`,
    ],
    [{ allowedOrigins: ['https://a.example/'] }, `allowedOrigins.0: ${origin} "https://a.example/"`],
    [{ allowedOrigins: ['https://A.example'] }, `allowedOrigins.0: ${origin} "https://A.example"`],
    [{ allowedOrigins: ['http://a.example'] }, `allowedOrigins.0: ${origin} "http://a.example"`],
    [{ allowedOrigins: [7] }, `allowedOrigins.0: ${origin} 7`],
    [
      { spotifyTokenUrl: 'http://accounts.spotify.com/api/token' },
      `spotifyTokenUrl: ${tokenUrl} "http://accounts.spotify.com/api/token"`,
    ],
    [
      { spotifyTokenUrl: 'https://a:b@accounts.spotify.com/api/token' },
      `spotifyTokenUrl: ${tokenUrl} "https://a:b@accounts.spotify.com/api/token"`,
    ],
    [{ spotifyTokenUrl: true }, `spotifyTokenUrl: ${tokenUrl} true`],
    [{ sweepIntervalMinutes: 4 }, 'sweepIntervalMinutes: must be a whole number, 5 or more, got 4'],
    [{ expectedSweepMinutes: 4 }, 'expectedSweepMinutes: must be a whole number from 5 to 30, got 4'],
    [{ sweepBatchSize: 1001 }, 'sweepBatchSize: must be a whole number from 1 to 1000, got 1001'],
    [{ sweepBatchSize: '500' }, 'sweepBatchSize: must be a whole number from 1 to 1000, got "500"'],
    [{ sweepBatchSize: 1.5 }, 'sweepBatchSize: must be a whole number from 1 to 1000, got 1.5'],
    [
      { sweepConnectionsPerInvocation: 0 },
      'sweepConnectionsPerInvocation: must be a whole number, 1 or more, got 0',
    ],
    [{ logLevel: 'TRACE' }, 'logLevel: must be one of DEBUG, INFO, got "TRACE"'],
    [{ logLevel: 'WARN' }, 'logLevel: must be one of DEBUG, INFO, got "WARN"'],
    [{ sweepMaxConcurrency: 1 }, 'sweepMaxConcurrency: must be a whole number from 2 to 1000, got 1'],
    [{ spotifyCallsPerSecond: 0 }, 'spotifyCallsPerSecond: must be a whole number, 1 or more, got 0'],
    [{ sweeperTimeoutSeconds: 901 }, 'sweeperTimeoutSeconds: must be a whole number from 60 to 900, got 901'],
    [
      { sweeperMemoryMegabytes: 64 },
      'sweeperMemoryMegabytes: must be a whole number from 128 to 10240, got 64',
    ],
    [
      { statusRefreshMarginMinutes: 0 },
      'statusRefreshMarginMinutes: must be a whole number from 1 to 30, got 0',
    ],
    [
      { statusRefreshMarginMinutes: 31 },
      'statusRefreshMarginMinutes: must be a whole number from 1 to 30, got 31',
    ],
    [{ statusTimeoutSeconds: 30 }, 'statusTimeoutSeconds: must be a whole number from 2 to 29, got 30'],
    [
      { statusMemoryMegabytes: 10241 },
      'statusMemoryMegabytes: must be a whole number from 128 to 10240, got 10241',
    ],
    [{ throttleRequestsPerSecond: 0 }, 'throttleRequestsPerSecond: must be a whole number, 1 or more, got 0'],
    [{ throttleBurstRequests: 0 }, 'throttleBurstRequests: must be a whole number, 1 or more, got 0'],
    [{ logRetentionDays: 31 }, `logRetentionDays: ${retention} 31`],
    [{ logRetentionDays: 9999 }, `logRetentionDays: ${retention} 9999`],
    [{ alarmTopicArn: 'alarms' }, `alarmTopicArn: ${topicArn} "alarms"`],
    [
      { alarmTopicArn: 'arn:aws:sns:eu-west-1:123456789012:alarms.fifo' },
      `alarmTopicArn: ${topicArn} "arn:aws:sns:eu-west-1:123456789012:alarms.fifo"`,
    ],
    [{ alarmEmail: 'platform' }, `alarmEmail: ${email} "platform"`],
    [{ alarmEmail: ['a@example.com'] }, `alarmEmail: ${email} ["a@example.com"]`],
    [{ runbookUrl: 'http://wiki.example.com/' }, `runbookUrl: ${runbook} "http://wiki.example.com/"`],
    [{ runbookUrl: 'https://a.example/r#x' }, `runbookUrl: ${runbook} "https://a.example/r#x"`],
    [{ eventBus: '' }, `eventBus: ${eventBus} ""`],
    [{ eventBus: 'two words' }, `eventBus: ${eventBus} "two words"`],
    [
      { eventBus: 'arn:aws:events:eu-west-1:123456789012:rule/bondhu' },
      `eventBus: ${eventBus} "arn:aws:events:eu-west-1:123456789012:rule/bondhu"`,
    ],
    [{ spotifySecretArn: 'spotify' }, `spotifySecretArn: ${secretArn}`],
    [{ spotifySecretArn: '{"client_secret":"canary"}' }, `spotifySecretArn: ${secretArn}`],
    [
      { supabaseSecretArn: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:supabase' },
      `supabaseSecretArn: ${secretArn}`,
    ],
    [{ domainName: '*.example.com' }, `domainName: ${domain} "*.example.com"`],
    [{ domainName: 'https://a.example.com' }, `domainName: ${domain} "https://a.example.com"`],
    [{ certificateArn: '12345678' }, `certificateArn: ${certificateArn} "12345678"`],
    [{ tags: ['team'] }, 'tags: must be tags such as {"team": "platform"}, got ["team"]'],
    [{ tags: { 'aws:x': 'y' } }, `tags.aws:x: ${tag} "aws:x"`],
    [{ tags: { team: 1 } }, 'tags.team: must be a text of letters, digits, spaces and _.:/=+-@, got 1'],
    [{ terminationProtection: 'yes' }, 'terminationProtection: must be true or false, got "yes"'],
    [
      { permissionsBoundary: 'arn:aws:iam::123456789012:role/boundary' },
      'permissionsBoundary: must be the name or the ARN of a managed policy such as arn:aws:iam::123456789012:policy/boundary, got "arn:aws:iam::123456789012:role/boundary"',
    ],
    [
      { bootstrapQualifier: 'bondhu-prod' },
      'bootstrapQualifier: must be up to 10 lower-case letters and digits such as bondhuprod, got "bondhu-prod"',
    ],
    [{ allowedOrigin: 'https://a.example' }, `allowedOrigin: ${unknown}`],
    [{ supabaseSecretKey: 'sb_secret_canary' }, `supabaseSecretKey: ${unknown}`],
  ])('%j', (settings, line) => {
    // As JSON, because cdk.json cannot say `undefined`: the key is missing.
    const stages = JSON.parse(JSON.stringify({ prod: { ...requiredSettings, ...settings } }));

    expect(() => parseStageConfiguration('prod', stages)).toThrow(
      new StageConfigurationError(`cdk.json, context.stages.prod.${line}`),
    );
  });
});
