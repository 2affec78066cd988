import { DescribeEventBusCommand } from '@aws-sdk/client-eventbridge';
import { GetScheduleCommand } from '@aws-sdk/client-scheduler';
import { paginateListSubscriptionsByTopic } from '@aws-sdk/client-sns';
import * as v from 'valibot';
import { refuseArguments } from './arguments.ts';
import type { Command } from './command.ts';
import type { Deployment } from './deployment.ts';
import { explainError } from './explain-error.ts';
import { invokeSweeper } from './invoke-sweeper.ts';
import { withProgress } from './progress.ts';

const Check = v.object({ name: v.string(), ok: v.boolean(), detail: v.string() });

/** What the function answers about itself and what it depends on. */
const Checkup = v.object({ checks: v.array(Check) });

type Check = v.InferOutput<typeof Check>;

/** What was looked at, and how to find out. Rejects where that cannot be found out. */
type Examination = readonly [name: string, examine: (deployment: Deployment) => Promise<Omit<Check, 'name'>>];

const EXAMINATIONS: readonly Examination[] = [
  ['schedule', examineSchedule],
  ['alarm topic', examineAlarmTopic],
  ['event bus', examineEventBus],
];

export const doctor: Command = {
  synopsis: '',
  summary: 'checks everything that has to be in place',
  description: `Prints a line for each check, "ok" or "FAIL" and what to do, and ends with exit code 1 if any failed: the stack,
secrets, Supabase and its migrations, Spotify's client, the last sweep, what Bondhu stored, the schedule, the alarm topic, the event
bus. Changes nothing.`,
  options: {},
  parse(commandLine) {
    refuseArguments(commandLine, 'doctor takes no argument');
    return async (deployment) => {
      const checks = [
        examineStack(deployment),
        ...(await examineByFunction(deployment)),
        ...(await withProgress(
          'looking at AWS',
          Promise.all(EXAMINATIONS.map((examination) => carryOut(examination, deployment))),
        )),
      ];
      return { output: toLines(checks), exitCode: checks.every(({ ok }) => ok) ? 0 : 1 };
    };
  },
};

function examineStack({ stackName, stackStatus }: Deployment): Check {
  const ok = /^(CREATE|UPDATE|IMPORT)_COMPLETE$/.test(stackStatus);
  const advice = ok ? '' : ": look at the stack's events in CloudFormation, then deploy again";
  return { name: 'stack', ok, detail: `${stackName} is ${stackStatus}${advice}` };
}

async function examineByFunction(deployment: Deployment): Promise<Check[]> {
  try {
    const checkup = v.safeParse(
      Checkup,
      await invokeSweeper(deployment, { command: 'doctor' }, 'having the sweeper look at itself'),
    );
    if (checkup.success) {
      return checkup.output.checks.map((check) => ({ ...check, name: check.name.replaceAll('_', ' ') }));
    }
    return [
      {
        name: 'sweeper',
        ok: false,
        detail: 'does not answer these commands: deploy the version that they are of',
      },
    ];
  } catch (error) {
    return [{ name: 'sweeper', ok: false, detail: explainError(error) }];
  }
}

async function carryOut([name, examine]: Examination, deployment: Deployment): Promise<Check> {
  try {
    return { name, ...(await examine(deployment)) };
  } catch (error) {
    return { name, ok: false, detail: explainError(error) };
  }
}

async function examineSchedule({ aws, output }: Deployment): Promise<Omit<Check, 'name'>> {
  const name = output('ScheduleName');
  const { State, ScheduleExpression } = await aws.scheduler.send(new GetScheduleCommand({ Name: name }));
  return State === 'ENABLED'
    ? { ok: true, detail: `enabled, ${ScheduleExpression}` }
    : { ok: false, detail: `${name} is disabled, nothing sweeps: enable it in EventBridge Scheduler` };
}

async function examineAlarmTopic({ aws, output }: Deployment): Promise<Omit<Check, 'name'>> {
  const topicArn = output('AlarmTopicArn');
  let confirmed = 0;
  let pending = 0;
  for await (const { Subscriptions = [] } of paginateListSubscriptionsByTopic(
    { client: aws.sns },
    { TopicArn: topicArn },
  )) {
    for (const { SubscriptionArn } of Subscriptions) {
      if (SubscriptionArn === 'PendingConfirmation') pending += 1;
      else if (SubscriptionArn?.startsWith('arn:')) confirmed += 1;
    }
  }
  if (confirmed > 0) return { ok: true, detail: `confirmed subscriptions: ${confirmed}` };
  return {
    ok: false,
    detail:
      pending > 0
        ? 'nobody has confirmed a subscription yet: open the link in the e-mail that AWS has sent to the address'
        : `an alarm reaches nobody: set alarmEmail in cdk.json and deploy, or subscribe to ${topicArn}`,
  };
}

async function examineEventBus({ aws, output }: Deployment): Promise<Omit<Check, 'name'>> {
  const name = output('EventBusName');
  try {
    await aws.eventBridge.send(new DescribeEventBusCommand({ Name: name }));
    return { ok: true, detail: name };
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ResourceNotFoundException') throw error;
    return {
      ok: false,
      detail: `there is no bus ${name}: create it, or set eventBus in cdk.json and deploy`,
    };
  }
}

/** Lines such as `ok    spotify client  accepted`. */
function toLines(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  return checks
    .map(({ name, ok, detail }) => `${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(width)}  ${detail}`)
    .join('\n');
}
