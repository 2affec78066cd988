import type { Resource, StackTemplate } from '../template.ts';
import { evaluateAlarm } from './alarm.ts';
import type { AlarmState } from './alarm-state.ts';
import type { Metrics } from './metrics.ts';

/** An alarm that has left one state for another. */
export interface AlarmChange {
  readonly alarm: Resource<'AWS::CloudWatch::Alarm'>;
  readonly from: AlarmState;
  readonly to: AlarmState;
}

/** The template's alarms, each in its state: that of an alarm that was just created, until they are evaluated. */
export class Alarms {
  readonly #alarms: readonly Resource<'AWS::CloudWatch::Alarm'>[];
  readonly #metrics: Metrics;
  readonly #states = new Map<string, AlarmState>();

  constructor(template: StackTemplate, metrics: Metrics) {
    this.#alarms = template.resourcesOfType('AWS::CloudWatch::Alarm');
    this.#metrics = metrics;
  }

  /** @param logicalId of the alarm */
  stateOf(logicalId: string): AlarmState {
    return this.#states.get(logicalId) ?? 'INSUFFICIENT_DATA';
  }

  /**
   * Evaluates all of them, which CloudWatch does every minute.
   *
   * @returns those that have changed
   */
  evaluate(at: Date): AlarmChange[] {
    return this.#alarms.flatMap((alarm) => {
      const from = this.stateOf(alarm.logicalId);
      const to = evaluateAlarm(alarm.properties, this.#metrics, at, from);
      this.#states.set(alarm.logicalId, to);
      return from === to ? [] : [{ alarm, from, to }];
    });
  }
}
