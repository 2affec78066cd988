import { randomUUID } from 'node:crypto';
import type { AccessControl } from './access.ts';
import type { Queues } from './queue.ts';
import type { Resource, StackTemplate } from './template.ts';

export interface SchedulerOptions {
  readonly template: StackTemplate;
  readonly access: AccessControl;
  readonly queues: Queues;
  /** Passes an event to a function without waiting for its result. */
  readonly invokeAsync: (functionArn: string, event: unknown) => Promise<void>;
  /** Runs every schedule at this interval instead of its own. */
  readonly everySeconds?: number;
}

const SECONDS_PER_UNIT = { minute: 60, hour: 3_600, day: 86_400 } as const;

/** When a schedule runs. */
export interface Timetable {
  readonly everySeconds: number;
  readonly nextAt: Date;
}

/** Runs the template's schedules, each for the first time after one interval. */
export class Scheduler {
  readonly #startedAtMillis = Date.now();
  readonly #running: readonly { readonly everySeconds: number; readonly timer: NodeJS.Timeout }[];

  /**
   * @throws on a schedule expression other than a rate, a target other than a function of the stack, and a role that
   *   EventBridge Scheduler cannot assume
   */
  constructor(options: SchedulerOptions) {
    const functions = options.template.resourcesOfType('AWS::Lambda::Function');
    this.#running = options.template
      .resourcesOfType('AWS::Scheduler::Schedule')
      .filter(({ properties }) => properties.State === 'ENABLED')
      .map((schedule) => {
        const { ScheduleExpression, Target } = schedule.properties;
        if (!functions.some(({ attributes }) => attributes.Arn === Target.Arn)) {
          throw new Error(`${schedule.logicalId}: the stack has no function ${Target.Arn}`);
        }
        options.access.assertTrusts(Target.RoleArn, 'scheduler.amazonaws.com', {
          'aws:SourceAccount': options.template.accountId,
          'aws:SourceArn': scheduleGroupArn(options.template),
        });
        const everySeconds = options.everySeconds ?? parseRate(ScheduleExpression);
        return { everySeconds, timer: setInterval(() => deliver(schedule, options), everySeconds * 1000) };
      });
  }

  /** One for each enabled schedule, in the template's order. */
  get timetables(): readonly Timetable[] {
    return this.#running.map(({ everySeconds }) => {
      const millis = everySeconds * 1000;
      const runs = Math.floor((Date.now() - this.#startedAtMillis) / millis);
      return { everySeconds, nextAt: new Date(this.#startedAtMillis + (runs + 1) * millis) };
    });
  }

  stop(): void {
    for (const { timer } of this.#running) clearInterval(timer);
  }
}

/**
 * @returns the seconds between two runs of `rate(n minutes|hours|days)`
 * @see https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
 */
export function parseRate(expression: string): number {
  const [, count, unit] = expression.match(/^rate\((\d+) (minute|hour|day)s?\)$/) ?? [];
  if (!count || !unit) {
    throw new Error(`schedule expression must be rate(n minutes|hours|days), got ${expression}`);
  }
  return Number(count) * SECONDS_PER_UNIT[unit as keyof typeof SECONDS_PER_UNIT];
}

function deliver(
  { attributes, properties: { Target } }: Resource<'AWS::Scheduler::Schedule'>,
  { access, queues, invokeAsync }: SchedulerOptions,
): void {
  const input = substituteContextAttributes(Target.Input, attributes.Arn);
  if (access.isAllowed(Target.RoleArn, 'lambda:InvokeFunction', Target.Arn)) {
    void invokeAsync(Target.Arn, JSON.parse(input));
    return;
  }
  const deadLetterArn = Target.DeadLetterConfig?.Arn;
  if (deadLetterArn && access.isAllowed(Target.RoleArn, 'sqs:SendMessage', deadLetterArn)) {
    queues.get(deadLetterArn).send(input, {
      ERROR_CODE: 'AccessDeniedException',
      ERROR_MESSAGE: `${Target.RoleArn} is not authorized to perform: lambda:InvokeFunction on resource: ${Target.Arn}`,
      SCHEDULE_ARN: attributes.Arn,
      TARGET_ARN: Target.Arn,
    });
  }
}

/** @see https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html */
function substituteContextAttributes(input: string, scheduleArn: string): string {
  return input
    .replaceAll('<aws.scheduler.schedule-arn>', scheduleArn)
    .replaceAll('<aws.scheduler.scheduled-time>', new Date().toISOString().replace(/\.\d{3}Z$/, 'Z'))
    .replaceAll('<aws.scheduler.execution-id>', randomUUID())
    .replaceAll('<aws.scheduler.attempt-number>', '1');
}

function scheduleGroupArn({ region, accountId }: StackTemplate): string {
  return `arn:aws:scheduler:${region}:${accountId}:schedule-group/default`;
}
