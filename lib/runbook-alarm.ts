import { type Duration, Stack } from 'aws-cdk-lib';
import { Alarm, type AlarmProps, type CfnAlarm } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';

export interface RunbookAlarmProps extends Omit<AlarmProps, 'alarmName' | 'alarmDescription'> {
  /** What is wrong, in one sentence. */
  readonly meaning: string;

  /** Address of the section that says what to do. */
  readonly runbookSection: string;

  /**
   * How long after it was created the alarm waits for its first data.
   * @default - not at all
   */
  readonly warmUp?: Duration;

  /** Hears of it when the alarm goes off, and when it is over. */
  readonly topic: ITopic;
}

/** An alarm that tells whoever it wakes what is wrong and where to read on. */
export class RunbookAlarm extends Alarm {
  readonly runbookSection: string;

  constructor(
    scope: Construct,
    id: string,
    { meaning, runbookSection, warmUp, topic, ...props }: RunbookAlarmProps,
  ) {
    super(scope, id, {
      ...props,
      alarmName: `${Stack.of(scope).stackName}-${id}`,
      alarmDescription: `${meaning} Runbook: ${runbookSection}`,
    });
    this.runbookSection = runbookSection;
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
