import { describe, expect, test } from '@jest/globals';
import { listAlarms, writeReferences } from './find-resources.ts';
import { synthesize } from './synthesize.ts';

const template = synthesize();
const alarms = listAlarms(template);

describe('an operator', () => {
  test('reads the stage and the alarm in its name', () => {
    expect(alarms.map(([, { AlarmName }]) => AlarmName)).toEqual(
      alarms.map(([name]) => `SpotifyAuth-test-${name}`),
    );
  });

  test.each(alarms)('reads what is wrong, what to do first, and where to read on: %s', (_name, alarm) => {
    const description = writeReferences(alarm.AlarmDescription);

    expect(description).toMatch(
      /^[A-Z][^\n]*\.\nFirst step: [A-Z][^\n`*]*\.\nThen: "[^"]+" on the dashboard, https:\/\/[^ \n]+$/,
    );
    // CloudWatch takes no more.
    expect(description.length).toBeLessThan(1024);
  });

  test('reads commands for the stage of the alarm', () => {
    const description = writeReferences(listAlarms(synthesize())[0]?.[1].AlarmDescription);

    expect(description).toContain('npm run operate -- doctor --stage test:');
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
