import { DescribeEventBusCommand } from '@aws-sdk/client-eventbridge';
import { GetAccountSettingsCommand } from '@aws-sdk/client-lambda';
import { GetScheduleCommand } from '@aws-sdk/client-scheduler';
import { paginateListSubscriptionsByTopic } from '@aws-sdk/client-sns';
import * as v from 'valibot';
import { refuseArguments } from './arguments.ts';
import { type Check, inOrder, isComplete, toChecklist } from './checklist.ts';
import type { Command } from './command.ts';
import type { Deployment } from './deployment.ts';
import { explainError } from './explain-error.ts';
import { invokeSweeper } from './invoke-sweeper.ts';
import { withProgress } from './progress.ts';

/** The function's own checks, of itself and its dependencies. */
const Checkup = v.object({
  checks: v.array(
    v.object({ name: v.string(), ok: v.boolean(), detail: v.string(), code: v.optional(v.string()) }),
  ),
});

type Finding = Omit<Check, 'name'>;

/** The checks of AWS, and how to run them. Rejects if one cannot be run. */
const EXAMINATIONS: Readonly<Record<string, (deployment: Deployment) => Promise<Finding>>> = {
  schedule: examineSchedule,
  concurrency: examineConcurrency,
  'event bus': examineEventBus,
  'alarm topic': examineAlarmTopic,
};

/** The command that fixes a failed check of the function, by the name of the check. */
const CURES: Readonly<Record<string, (stage: string) => string>> = {
  migrations: () => 'supabase db push',
  'spotify secret': (stage) => `npm run operate -- fill-secret spotify --stage ${stage}`,
  'supabase secret': (stage) => `npm run operate -- fill-secret supabase --stage ${stage}`,
  'last sweep': (stage) => `npm run operate -- sweep --stage ${stage}`,
};

/** Fewer could be used up by a few simultaneous page loads. */
const LEAST_FOR_STATUS_CALLS = 5;

export const doctor: Command = {
  synopsis: '',
  summary: 'checks everything a stage needs, and says how to fix it',
  description: `Checks the steps of docs/deploy.md. Prints a line for each check: "ok"; "FAIL", what is missing and the command that fixes
it; or "wait" and what comes first. Exits with 1 unless all are "ok". Changes nothing.`,
  options: {},
  fields: {
    ok: 'whether every check passed',
    checks:
      'list of {name, ok, detail, commands}, in the order of the guide: the check, whether it passed, the finding, and what to run',
  },
  parse(commandLine) {
    refuseArguments(commandLine, 'doctor takes no argument');
    return async (deployment) => {
      const checks = await examine(deployment);
      const ok = isComplete(checks);
      return {
        text: toChecklist(checks),
        data: { ok, checks: inOrder(checks).map(toData) },
        exitCode: ok ? 0 : 1,
      };
    };
  },
};

/** For programs: names without blanks. */
function toData({ name, ok, detail, commands = [] }: Check): Required<Check> {
  return { name: name.replaceAll(' ', '_'), ok, detail, commands: ok ? [] : commands };
}

async function examine(deployment: Deployment): Promise<Check[]> {
  const stack = examineStack(deployment);
  if (wasNeverCreated(deployment)) return [stack];
  return [
    stack,
    ...(await examineByFunction(deployment)),
    ...(await withProgress(
      'looking at AWS',
      Promise.all(Object.entries(EXAMINATIONS).map((examination) => carryOut(examination, deployment))),
    )),
  ];
}

/** A stack in this state has no outputs, and nothing in it is usable. */
function wasNeverCreated({ stackStatus }: Deployment): boolean {
  return /^(REVIEW|CREATE_FAILED|CREATE_IN_PROGRESS|ROLLBACK|DELETE)/.test(stackStatus);
}

function examineStack(deployment: Deployment): Check {
  const { stage, stackName, stackStatus, isProtected } = deployment;
  const deploy = `npm run deploy -- -c stage=${stage}`;
  const name = 'stack';
  if (/^(CREATE|UPDATE|IMPORT)_COMPLETE$/.test(stackStatus)) {
    return { name, ok: true, detail: `${stackName} is ${stackStatus}` };
  }
  if (stackStatus.endsWith('_IN_PROGRESS')) {
    return { name, ok: false, detail: `${stackName} is ${stackStatus}: wait until it has finished` };
  }
  const detail = `${stackName} is ${stackStatus}: see the stack's events in CloudFormation, then deploy again`;
  if (!wasNeverCreated(deployment) || !isProtected) return { name, ok: false, detail, commands: [deploy] };
  return {
    name,
    ok: false,
    detail: `${detail}, after turning off the protection, which keeps the CDK from replacing a failed stack`,
    commands: [
      `aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name ${stackName}`,
      deploy,
    ],
  };
}

async function examineByFunction(deployment: Deployment): Promise<Check[]> {
  const { stage } = deployment;
  const deploy = `npm run deploy -- -c stage=${stage}`;
  try {
    const activity = 'asking the sweeper to check itself';
    const { checks } = await invokeSweeper(deployment, { command: 'doctor' }, activity, Checkup);
    return [
      { name: 'sweeper', ok: true, detail: 'answers' },
      ...checks.map(({ code, ...check }) => {
        const name = check.name.replaceAll('_', ' ');
        // A value cannot be filled into a secret that does not exist.
        const cure = code === 'SECRET_MISSING' ? deploy : CURES[name]?.(stage);
        return cure === undefined
          ? { ...check, name }
          : { ...check, name, detail: omitCommand(check.detail, cure), commands: [cure] };
      }),
    ];
  } catch (error) {
    return [{ name: 'sweeper', ok: false, detail: explainError(error), commands: [deploy] }];
  }
}

/** Without a command that stands in the next line of the checklist. */
function omitCommand(detail: string, command: string): string {
  const phrases = [`run "${command}" and `, `; run "${command}"`, `, and run "${command}"`];
  return phrases.reduce((rest, phrase) => rest.replace(phrase, ''), detail);
}

async function carryOut(
  [name, look]: [string, (deployment: Deployment) => Promise<Finding>],
  deployment: Deployment,
): Promise<Check> {
  try {
    return { name, ...(await look(deployment)) };
  } catch (error) {
    return { name, ok: false, detail: explainError(error) };
  }
}

async function examineSchedule({ aws, output }: Deployment): Promise<Finding> {
  const name = output('ScheduleName');
  const { State, ScheduleExpression } = await aws.scheduler.send(new GetScheduleCommand({ Name: name }));
  return State === 'ENABLED'
    ? { ok: true, detail: `enabled, ${ScheduleExpression}` }
    : { ok: false, detail: `${name} is disabled, so no sweeps run: enable it in EventBridge Scheduler` };
}

/** New accounts have a tenth of the usual quota or less, which all functions share. */
async function examineConcurrency({ aws, output }: Deployment): Promise<Finding> {
  const { AccountLimit } = await aws.lambda.send(new GetAccountSettingsCommand({}));
  const limit = AccountLimit?.UnreservedConcurrentExecutions ?? AccountLimit?.ConcurrentExecutions ?? 0;
  const sweeps = Number(output('SweepsAtOnce'));
  const left = limit - sweeps;
  const detail = `the account runs ${limit} invocations at once in this region; sweeps take at most ${sweeps}, which leaves ${left} for status calls`;
  if (left >= LEAST_FOR_STATUS_CALLS) return { ok: true, detail };
  return {
    ok: false,
    detail: `${detail}: have the quota raised, or lower sweepMaxConcurrency in cdk.json`,
    commands: [
      'aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value 1000',
    ],
  };
}

async function examineAlarmTopic({ aws, output }: Deployment): Promise<Finding> {
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
  if (pending > 0) {
    return {
      ok: false,
      detail:
        'no subscription has been confirmed yet: open the link in the e-mail that AWS sent to the address',
    };
  }
  return {
    ok: false,
    detail:
      'alarms reach no one: set alarmEmail in cdk.json and deploy, or subscribe an address to the topic',
    commands: [
      `aws sns subscribe --topic-arn ${topicArn} --protocol email --notification-endpoint <address>`,
    ],
  };
}

async function examineEventBus({ aws, account, output }: Deployment): Promise<Finding> {
  const name = output('EventBusName');
  // Other accounts cannot be allowed to describe a bus: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-bus-perms.html
  const [, , , , owner = account] = name.split(':');
  if (owner !== account) {
    return {
      ok: true,
      detail: `${name} belongs to another account, and only that one can check it: the alarm EventsNotSent reports when it rejects events`,
    };
  }
  try {
    await aws.eventBridge.send(new DescribeEventBusCommand({ Name: name }));
    return { ok: true, detail: name };
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ResourceNotFoundException') throw error;
    return {
      ok: false,
      detail: `there is no bus ${name}: create it, or set eventBus in cdk.json and deploy`,
      commands: [`aws events create-event-bus --name ${name}`],
    };
  }
}
