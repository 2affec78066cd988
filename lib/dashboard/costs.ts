import { type IWidget, MathExpression, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { RefreshSweeper } from '../refresh-sweeper.ts';
import type { RescueQueue } from '../rescue-queue.ts';
import type { StageSettings } from '../settings/stage-settings.ts';
import type { StatusApi } from '../status-api.ts';
import { createGraph } from './widgets.ts';

interface CostSources extends Pick<StageSettings, 'statusMemoryMegabytes' | 'sweeperMemoryMegabytes'> {
  readonly statusApi: StatusApi;

  readonly refreshSweeper: RefreshSweeper;

  readonly rescueQueue: RescueQueue;
}

/** The quantities that AWS bills. */
export function createCostRow({ statusApi, refreshSweeper, rescueQueue, ...props }: CostSources): IWidget[] {
  const sum = { statistic: Stats.SUM };
  const countBytes = (logGroup: ILogGroup, label: string) =>
    // The CDK omits the dimension: its metric covers all log groups of the account.
    logGroup.metricIncomingBytes({ ...sum, label, dimensionsMap: { LogGroupName: logGroup.logGroupName } });
  const countGigabyteSeconds = (name: 'status' | 'sweeper', lambda: NodejsFunction, megabytes: number) => {
    const duration = `${name}Milliseconds`;
    return new MathExpression({
      expression: `${duration} / 1000 * ${megabytes / 1024}`,
      usingMetrics: { [duration]: lambda.metricDuration(sum) },
      label: name,
    });
  };
  return [
    createGraph('Invocations and requests', [
      statusApi.function.metricInvocations({ label: 'status' }),
      refreshSweeper.function.metricInvocations({ label: 'sweeper' }),
      statusApi.api.metricCount({ ...sum, label: 'API requests' }),
      refreshSweeper.sweepQueue.metricNumberOfMessagesSent({ label: 'messages to the sweep queue' }),
      rescueQueue.queue.metricNumberOfMessagesSent({ label: 'messages to the rescue queue' }),
    ]),
    createGraph('Functions, GB-seconds', [
      countGigabyteSeconds('status', statusApi.function, props.statusMemoryMegabytes),
      countGigabyteSeconds('sweeper', refreshSweeper.function, props.sweeperMemoryMegabytes),
    ]),
    createGraph('Logs, bytes', [
      countBytes(statusApi.function.logGroup, 'status'),
      countBytes(refreshSweeper.function.logGroup, 'sweeper'),
      countBytes(statusApi.accessLogs, 'access'),
    ]),
  ];
}
