import { type IWidget, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { RefreshSweeper } from '../refresh-sweeper.ts';
import type { RescueQueue } from '../rescue-queue.ts';
import type { StatusApi } from '../status-api.ts';
import type { DashboardMetrics } from './dashboard-metrics.ts';
import { createGraph } from './widgets.ts';

interface ErrorSources {
  readonly statusApi: StatusApi;

  readonly refreshSweeper: RefreshSweeper;

  readonly rescueQueue: RescueQueue;
}

/** Failures, and what needs an operator's attention. */
export function createErrorRow(
  metrics: DashboardMetrics,
  { statusApi, refreshSweeper, rescueQueue }: ErrorSources,
): IWidget[] {
  const countWaiting = (queue: IQueue, label: string) =>
    queue.metricApproximateNumberOfMessagesVisible({ statistic: Stats.MAXIMUM, label });
  return [
    createGraph('API', [
      statusApi.api.metricServerError({ statistic: Stats.SUM, label: '5xx' }),
      statusApi.api.metricClientError({ statistic: Stats.SUM, label: '4xx' }),
    ]),
    createGraph('Functions', [
      statusApi.function.metricErrors({ label: 'status failed' }),
      statusApi.function.metricThrottles({ label: 'status throttled' }),
      refreshSweeper.function.metricErrors({ label: 'sweeper failed' }),
      refreshSweeper.function.metricThrottles({ label: 'sweeper throttled' }),
      refreshSweeper.function.metric('AsyncEventsDropped', {
        statistic: Stats.SUM,
        label: 'sweeps given up',
      }),
    ]),
    createGraph(
      'Needs attention',
      [
        countWaiting(refreshSweeper.deadLetterQueue, 'sweeps in the dead-letter queue'),
        countWaiting(rescueQueue.queue, 'waiting rescued tokens'),
        countWaiting(rescueQueue.deadLetterQueue, 'rescued tokens in their dead-letter queue'),
      ],
      [
        metrics.count('rescueFailed', 'tokens lost'),
        metrics.count('profilesRefused', "tokens that Bondhu's schema refused"),
        metrics.count('eventsNotSent', 'events not sent'),
      ],
    ),
    createGraph("What is wrong in Bondhu's profiles", [
      metrics.readPerSweep('implausibleExpiries', Stats.MAXIMUM, 'expiries that cannot be true'),
      metrics.readPerSweep('sharedTokens', Stats.MAXIMUM, 'connections that share a token'),
      metrics.readPerSweep('missedProfileChanges', Stats.SUM, 'changes that reached the queue late'),
    ]),
  ];
}
