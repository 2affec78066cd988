import { type Duration, Stack } from 'aws-cdk-lib';
import { Alarm, type AlarmProps, type CfnAlarm } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import type { Runbook } from './runbook.ts';

export interface RunbookAlarmProps extends Omit<AlarmProps, 'alarmName' | 'alarmDescription'> {
  /** The problem, in one sentence. */
  readonly meaning: string;

  /** Must have a section that names the alarm by its id. */
  readonly runbook: Runbook;

  /** URL of the dashboard with that section. */
  readonly dashboardUrl: string;

  /**
   * URL of another copy of the runbook.
   * @default - only the dashboard is linked
   */
  readonly runbookUrl: string | undefined;

  /**
   * How long a new alarm waits for its first data.
   * @default - it does not wait
   */
  readonly warmUp?: Duration;

  /** Is notified when the alarm goes off, and when it ends. */
  readonly topic: ITopic;
}

/** An alarm whose description says what is wrong, what to do first and where to read on. */
export class RunbookAlarm extends Alarm {
  constructor(
    scope: Construct,
    id: string,
    { meaning, runbook, dashboardUrl, runbookUrl, warmUp, topic, ...props }: RunbookAlarmProps,
  ) {
    const { title, anchor, firstStep } = runbook.sectionOf(id);
    super(scope, id, {
      ...props,
      alarmName: `${Stack.of(scope).stackName}-${id}`,
      alarmDescription: [
        meaning,
        `First step: ${firstStep}`,
        `Then: "${title}" on the dashboard, ${dashboardUrl}`,
        ...(runbookUrl === undefined ? [] : [`Runbook: ${runbookUrl}#${anchor}`]),
      ].join('\n'),
    });
    if (warmUp !== undefined) {
      (this.node.defaultChild as CfnAlarm).warmUpConfiguration = {
        warmUpPeriodDurationInMinutes: warmUp.toMinutes(),
      };
    }
    const action = new SnsAction(topic);
    this.addAlarmAction(action);
    this.addOkAction(action);
  }
}
