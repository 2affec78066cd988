import { describe, expect, test } from '@jest/globals';
import { parseStageConfiguration, StageConfigurationError } from '../../../lib/stage-configuration.ts';
import { requiredSettings } from '../required-settings.ts';

const outlives = 'so that a token of 60 minutes outlives the next sweep';

describe('a setting that does not go with another is refused with one line that says what to write', () => {
  test.each<[settings: Record<string, unknown>, line: string]>([
    [
      { sweepIntervalMinutes: 50 },
      `sweepIntervalMinutes: must be from 5 to 49, ${outlives} (expectedSweepMinutes is 5), got 50`,
    ],
    [
      { sweepIntervalMinutes: 35, expectedSweepMinutes: 20 },
      `sweepIntervalMinutes: must be from 5 to 34, ${outlives} (expectedSweepMinutes is 20), got 35`,
    ],
    [{ statusBudgetSeconds: 10 }, 'statusBudgetSeconds: must be less than statusTimeoutSeconds (10), got 10'],
    [
      { alarmEmail: 'a@example.com', alarmTopicArn: 'arn:aws:sns:eu-west-1:123456789012:alarms' },
      'alarmEmail: cannot be used together with alarmTopicArn: leave it out, and subscribe the address to that topic',
    ],
    [
      { domainName: 'a.example.com' },
      'domainName: needs certificateArn, the certificate of that domain in ACM',
    ],
    [
      { certificateArn: 'arn:aws:acm:eu-west-1:123456789012:certificate/12345678' },
      'certificateArn: needs domainName, the domain of the API that the certificate is for',
    ],
    [
      {
        alarmTopicArn: 'arn:aws:sns:eu-west-1:123456789012:alarms',
        eventBus: 'arn:aws:events:eu-central-1:210987654321:event-bus/bondhu',
      },
      'eventBus: must be in region eu-west-1, as alarmTopicArn is, got eu-central-1',
    ],
  ])('%j', (settings, line) => {
    const stages = { prod: { ...requiredSettings, ...settings } };

    expect(() => parseStageConfiguration('prod', stages)).toThrow(
      new StageConfigurationError(`cdk.json, context.stages.prod.${line}`),
    );
  });
});

test('what is not in the region of the stack is refused where that is known', () => {
  const stages = {
    prod: {
      ...requiredSettings,
      alarmTopicArn: 'arn:aws:sns:eu-west-1:123456789012:alarms',
      eventBus: 'bondhu',
    },
  };

  expect(() => parseStageConfiguration('prod', stages, 'eu-west-1')).not.toThrow();
  expect(() => parseStageConfiguration('prod', stages, 'us-east-1')).toThrow(
    'cdk.json, context.stages.prod.alarmTopicArn: must be in region us-east-1, in which the stack is deployed, got eu-west-1',
  );
});
