import { describe, expect, test } from '@jest/globals';
import { listAlarms } from './find-resources.ts';
import { synthesize } from './synthesize.ts';

const template = synthesize();
const alarms = listAlarms(template);

describe('whoever is woken', () => {
  test('reads the stage and the alarm in its name', () => {
    expect(alarms.map(([, { AlarmName }]) => AlarmName)).toEqual(
      alarms.map(([name]) => `SpotifyAuth-test-${name}`),
    );
  });

  test.each(alarms)('reads one sentence, and where to read on: %s', (_name, { AlarmDescription }) => {
    expect(AlarmDescription).toMatch(/^[A-Z][^.]*\. Runbook: https:\/\/[^ ]+#[a-z-]+$/);
  });
});

describe('the topic', () => {
  test('hears when an alarm goes off, and when it is over', () => {
    const [topicId] = Object.keys(template.findResources('AWS::SNS::Topic'));

    for (const [, { AlarmActions, OKActions }] of alarms) {
      expect({ AlarmActions, OKActions }).toEqual({
        AlarmActions: [{ Ref: topicId }],
        OKActions: [{ Ref: topicId }],
      });
    }
  });
});
