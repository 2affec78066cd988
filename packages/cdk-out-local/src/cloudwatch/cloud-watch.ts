import type { Queue, Queues } from '../queue.ts';
import type { Resource, StackTemplate } from '../template.ts';
import { evaluateAlarm } from './alarm.ts';
import type { AlarmState } from './alarm-state.ts';
import { Dashboard } from './dashboard.ts';
import type { AlarmView } from './dashboard-view.ts';
import { readEmbeddedMetrics } from './embedded-metrics.ts';
import { bytesOf, logGroupsOf } from './log-groups.ts';
import { Metrics } from './metrics.ts';

/** A change of an alarm's state. */
export interface AlarmChange {
  readonly alarm: Resource<'AWS::CloudWatch::Alarm'>;
  readonly from: AlarmState;
  readonly to: AlarmState;
}

/** The metrics, and the template's alarms and dashboards on them. */
export class CloudWatch {
  readonly metrics = new Metrics();
  /** The template's. */
  readonly dashboards: readonly Dashboard[];
  readonly #alarms: readonly Resource<'AWS::CloudWatch::Alarm'>[];
  readonly #queues: Queues;
  readonly #logGroups: ReadonlyMap<string, string>;
  /** How many messages of each queue have been measured. */
  readonly #measuredMessages = new Map<Queue, number>();
  readonly #states = new Map<string, AlarmState>();
  #createdAt = Date.now();

  constructor(template: StackTemplate, queues: Queues) {
    this.#alarms = template.resourcesOfType('AWS::CloudWatch::Alarm');
    this.#queues = queues;
    this.#logGroups = logGroupsOf(template);
    const findAlarm = (arn: string) => this.#viewAlarm(arn);
    this.dashboards = template
      .resourcesOfType('AWS::CloudWatch::Dashboard')
      .map((resource) => new Dashboard(resource, { metrics: this.metrics, findAlarm }));
  }

  /**
   * Measures what a line brings to its log group, and takes the measurements that it holds.
   *
   * @param source the function or the API that wrote it
   */
  measureLogLine(source: string, line: string): void {
    for (const datapoint of readEmbeddedMetrics(line)) this.metrics.put(datapoint);
    const logGroup = this.#logGroups.get(source);
    if (logGroup === undefined) return;
    this.metrics.put({
      namespace: 'AWS/Logs',
      name: 'IncomingBytes',
      dimensions: { LogGroupName: logGroup },
      value: bytesOf(line),
      unit: 'Bytes',
      at: Date.now(),
    });
  }

  /** The states of all alarms by name, from their last evaluation. */
  get alarmStates(): ReadonlyMap<string, AlarmState> {
    return new Map(this.#alarms.map(({ name }) => [name, this.#stateOf(name)]));
  }

  /**
   * Counts the messages in the queues and evaluates all alarms, as CloudWatch does every minute.
   *
   * @param at the time to look back from
   * @returns the changes
   */
  evaluateAlarms(at: Date): AlarmChange[] {
    for (const queue of this.#queues.all) this.#measureQueue(queue);
    return this.#alarms.flatMap((alarm) => {
      const from = this.#stateOf(alarm.name);
      const to = evaluateAlarm(alarm.properties, this.metrics, at, from, this.#createdAt);
      this.#states.set(alarm.name, to);
      return from === to ? [] : [{ alarm, from, to }];
    });
  }

  /** Moves the creation of the alarms and all data into the past, as if this much time had passed. */
  letMinutesPass(minutes: number): void {
    this.#createdAt -= minutes * 60_000;
    this.metrics.letMinutesPass(minutes);
  }

  /** The state of a newly created alarm is unknown. */
  #stateOf(name: string): AlarmState {
    return this.#states.get(name) ?? 'INSUFFICIENT_DATA';
  }

  #viewAlarm(arn: string): AlarmView {
    const alarm = this.#alarms.find(({ attributes }) => attributes.Arn === arn);
    if (!alarm) throw new Error(`the stack has no alarm ${arn}`);
    const { name, properties } = alarm;
    return { name, description: properties.AlarmDescription, state: this.#stateOf(name) };
  }

  /** @see https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html */
  #measureQueue(queue: Queue): void {
    const measured = {
      ApproximateNumberOfMessagesVisible: queue.visibleCount,
      NumberOfMessagesSent: queue.sentCount - (this.#measuredMessages.get(queue) ?? 0),
    };
    this.#measuredMessages.set(queue, queue.sentCount);
    for (const [name, value] of Object.entries(measured)) {
      this.metrics.put({
        namespace: 'AWS/SQS',
        name,
        dimensions: { QueueName: queue.name },
        value,
        unit: 'Count',
        at: Date.now(),
      });
    }
  }
}
