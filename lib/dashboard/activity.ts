import { GraphWidget, type IWidget, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { StatusApi } from '../status-api.ts';
import type { DashboardMetrics } from './dashboard-metrics.ts';
import { createGraph } from './widgets.ts';

const percentiles = [50, 95, 99];

/** The amount of work of sweeps and status calls. */
export function createThroughputRow(metrics: DashboardMetrics): IWidget[] {
  return [
    createGraph('Sweeps', [
      metrics.readPerSweep('sweepDue', Stats.MAXIMUM, 'due at the start'),
      metrics.readPerSweep('sweepRefreshed', Stats.SUM, 'refreshed'),
      metrics.readPerSweep('sweepRemaining', Stats.MINIMUM, 'remaining'),
      metrics.readPerSweep('scheduledSweepFinished', Stats.SUM, 'scheduled sweeps finished'),
    ]),
    new GraphWidget({
      title: 'Answers of the status call',
      left: [
        metrics.count('statusConnected', 'connected'),
        metrics.count('statusDegraded', 'connected, degraded'),
        metrics.count('statusNotConnected', 'not connected'),
        metrics.count('statusReauthorizationRequired', 'has to reconnect'),
        metrics.count('statusRefreshFailed', 'token expired, retryable'),
        metrics.count('statusRefused', '400, 401, 403'),
        metrics.count('statusKeyUnknown', '503, unknown signing key'),
        metrics.count('statusUnavailable', '503'),
      ],
      stacked: true,
      width: 8,
    }),
    createGraph('Events and rescued tokens', [
      metrics.count('eventsSent', 'events sent'),
      metrics.count('rescueQueued', 'tokens sent to the rescue queue'),
      metrics.count('rescueStored', 'tokens stored from the rescue queue'),
    ]),
  ];
}

/** The duration of sweeps and status calls. */
export function createLatencyRow(metrics: DashboardMetrics, { api }: Pick<StatusApi, 'api'>): IWidget[] {
  return [
    createGraph(
      'API, ms',
      percentiles.map((p) => api.metricLatency({ statistic: Stats.percentile(p), label: `p${p}` })),
    ),
    createGraph(
      'Status function, ms',
      percentiles.map((p) => metrics.readPercentile('statusLatencyMilliseconds', p)),
    ),
    createGraph('Sweeps, ms', [
      metrics.readPerSweep('sweepDurationMilliseconds', Stats.MAXIMUM, 'longest invocation'),
      metrics.readPerSweep('sweepDurationMilliseconds', Stats.MINIMUM, 'shortest invocation'),
    ]),
  ];
}
