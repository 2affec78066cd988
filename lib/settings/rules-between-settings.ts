import * as v from 'valibot';
import { longestSweepIntervalMinutes } from '../sweep-window.ts';
import { stageSettings } from './stage-settings.ts';

/** The rules about several settings of a stage: no contradictions, and nothing missing. */
export const consistentStageSettings = v.pipe(
  stageSettings,
  v.forward(
    v.check(
      ({ statusBudgetSeconds, statusTimeoutSeconds }) => statusBudgetSeconds < statusTimeoutSeconds,
      ({ input }) =>
        `must be less than statusTimeoutSeconds (${input.statusTimeoutSeconds}), got ${input.statusBudgetSeconds}`,
    ),
    ['statusBudgetSeconds'],
  ),
  v.forward(
    v.check(
      ({ sweepIntervalMinutes, expectedSweepMinutes }) =>
        sweepIntervalMinutes <= longestSweepIntervalMinutes(expectedSweepMinutes),
      ({ input: { sweepIntervalMinutes, expectedSweepMinutes } }) =>
        `must be from 5 to ${longestSweepIntervalMinutes(expectedSweepMinutes)}, so that a token of 60 minutes outlives the next sweep (expectedSweepMinutes is ${expectedSweepMinutes}), got ${sweepIntervalMinutes}`,
    ),
    ['sweepIntervalMinutes'],
  ),
  v.forward(
    v.check(
      ({ alarmTopicArn, alarmEmail }) => alarmTopicArn === undefined || alarmEmail === undefined,
      'cannot be used together with alarmTopicArn: leave it out, and subscribe the address to that topic',
    ),
    ['alarmEmail'],
  ),
  v.forward(
    v.check(
      ({ domainName, certificateArn }) => domainName === undefined || certificateArn !== undefined,
      'needs certificateArn, the certificate of that domain in ACM',
    ),
    ['domainName'],
  ),
  v.forward(
    v.check(
      ({ domainName, certificateArn }) => certificateArn === undefined || domainName !== undefined,
      'needs domainName, the domain of the API that the certificate is for',
    ),
    ['certificateArn'],
  ),
);
