import { Stack } from 'aws-cdk-lib';
import { QueryDefinition, QueryString, type QueryStringProps } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { RefreshSweeper } from './refresh-sweeper.ts';
import type { StatusApi } from './status-api.ts';

export interface LogQueriesProps {
  readonly statusApi: StatusApi;

  readonly refreshSweeper: RefreshSweeper;
}

/** Queries saved in CloudWatch Logs Insights, in a folder named after the stack. */
export class LogQueries extends Construct {
  /** The names of the queries in Logs Insights. */
  readonly names: readonly string[];

  constructor(scope: Construct, id: string, { statusApi, refreshSweeper }: LogQueriesProps) {
    super(scope, id);
    const statusLogs = statusApi.function.logGroup;
    const sweeperLogs = refreshSweeper.function.logGroup;

    const save = (id: string, title: string, logGroups: (typeof statusLogs)[], query: QueryStringProps) => {
      const queryDefinitionName = `${Stack.of(this).stackName}/${title}`;
      new QueryDefinition(this, id, { queryDefinitionName, queryString: new QueryString(query), logGroups });
      return queryDefinitionName;
    };

    this.names = [
      save('RefreshHistory', 'refresh history of one user', [statusLogs, sweeperLogs], {
        fields: [
          '@timestamp',
          'message',
          'outcome',
          'reason',
          'verdict',
          'expires_at',
          'seconds_left',
          'new_expires_at',
          'needs_refresh',
          'auto_refreshed',
        ],
        filterStatements: ['user_id = "put the user id here"'],
        sort: '@timestamp desc',
      }),
      save('FailuresByReason', 'failures by reason in the last day', [statusLogs, sweeperLogs], {
        filterStatements: [
          // A refresh is a warning, unless a new token is stored and the answer was unremarkable, or a dead grant
          // is still dead.
          'message = "token refresh" and level = "WARN"',
          `toMillis(@timestamp) >= now() * 1000 - ${24 * 60 * 60 * 1000}`,
        ],
        statsStatements: [
          'count(*) as failures, count_distinct(user_id) as users by outcome, verdict, reason',
        ],
        sort: 'failures desc',
      }),
      save('SlowestStatusCalls', 'slowest status calls', [statusLogs], {
        fields: [
          '@timestamp',
          'latency_ms',
          'message',
          'outcome',
          'auto_refreshed',
          'needs_refresh',
          'user_id',
          'request_id',
        ],
        filterStatements: ['ispresent(latency_ms)'],
        sort: 'latency_ms desc',
        limit: 50,
      }),
      save('ThrottlingTimeline', 'throttling timeline', [statusLogs, sweeperLogs], {
        filterStatements: ['message = "token refresh" and outcome = "throttled"'],
        statsStatements: ['count(*) as answers, count_distinct(user_id) as users by bin(5m)'],
      }),
      save('RefusedProfiles', 'profiles that refuse tokens', [statusLogs, sweeperLogs], {
        filterStatements: ['message = "profile refuses its tokens"'],
        statsStatements: [
          'count(*) as refusals, count_distinct(user_id) as users, max(@timestamp) as last by sql_state, constraint',
        ],
        sort: 'users desc',
      }),
    ];
  }
}
