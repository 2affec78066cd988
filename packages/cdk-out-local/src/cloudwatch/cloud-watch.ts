import type { Queues } from '../queue.ts';
import type { Resource, StackTemplate } from '../template.ts';
import { evaluateAlarm } from './alarm.ts';
import type { AlarmState } from './alarm-state.ts';
import { Metrics } from './metrics.ts';

/** An alarm that has left one state for another. */
export interface AlarmChange {
  readonly alarm: Resource<'AWS::CloudWatch::Alarm'>;
  readonly from: AlarmState;
  readonly to: AlarmState;
}

/** What is measured, and the template's alarms over it. */
export class CloudWatch {
  readonly metrics = new Metrics();
  readonly #alarms: readonly Resource<'AWS::CloudWatch::Alarm'>[];
  readonly #queues: Queues;
  readonly #states = new Map<string, AlarmState>();
  #createdAt = Date.now();

  constructor(template: StackTemplate, queues: Queues) {
    this.#alarms = template.resourcesOfType('AWS::CloudWatch::Alarm');
    this.#queues = queues;
  }

  /** The states of all alarms by their names, as they were when they were last evaluated. */
  get alarmStates(): ReadonlyMap<string, AlarmState> {
    return new Map(this.#alarms.map(({ name }) => [name, this.#stateOf(name)]));
  }

  /**
   * Counts what is in the queues and evaluates all alarms, which CloudWatch does every minute.
   *
   * @param at the moment to look back from
   * @returns those that have changed
   */
  evaluateAlarms(at: Date): AlarmChange[] {
    for (const queue of this.#queues.all) this.#measureQueue(queue.name, queue.visibleCount);
    return this.#alarms.flatMap((alarm) => {
      const from = this.#stateOf(alarm.name);
      const to = evaluateAlarm(alarm.properties, this.metrics, at, from, this.#createdAt);
      this.#states.set(alarm.name, to);
      return from === to ? [] : [{ alarm, from, to }];
    });
  }

  /** Moves the creation of the alarms and all that was measured into the past, as if so much time had gone by. */
  letMinutesPass(minutes: number): void {
    this.#createdAt -= minutes * 60_000;
    this.metrics.letMinutesPass(minutes);
  }

  /** That of an alarm that was just created is not known. */
  #stateOf(name: string): AlarmState {
    return this.#states.get(name) ?? 'INSUFFICIENT_DATA';
  }

  /** @see https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html */
  #measureQueue(queueName: string, value: number): void {
    this.metrics.put({
      namespace: 'AWS/SQS',
      name: 'ApproximateNumberOfMessagesVisible',
      dimensions: { QueueName: queueName },
      value,
      at: Date.now(),
    });
  }
}
