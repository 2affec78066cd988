import middy from '@middy/core';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import type { Clock } from '../connection/clock.ts';
import type { Log } from '../connection/log.ts';
import type { Metrics } from '../connection/metrics.ts';
import { OperationalError } from '../connection/operational-error.ts';
import type { ConnectionStatus } from './check-connection.ts';
import { answerOverHttp, type StatusResult } from './http-answers.ts';
import { forbidden, refuseUserId } from './problem.ts';

/** Reserved at the end of an invocation to send the answer. */
const ANSWER_RESERVE_MILLISECONDS = 500;

/** When to give up: the last moment at which an answer still reaches the user before Lambda ends the invocation. */
const LAST_MOMENT_MILLISECONDS = 200;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** What the endpoint works with. */
export type StatusEndpointDependencies = {
  /** The user id in a verified bearer token; see `authenticate`. */
  readonly authenticate: (authorization: string | undefined) => Promise<string>;
  /** The use case, with everything it needs; see `checkConnection`. */
  readonly checkConnection: (userId: string, deadline: number) => Promise<ConnectionStatus>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Milliseconds that a request may spend on its own work. */
  readonly budgetMilliseconds: number;
};

/**
 * `GET .../music/status/{user_id}`: says whether the user is connected. Only that user may ask. Failures
 * are answered with a problem, including a timeout.
 */
export function createStatusEndpoint(dependencies: StatusEndpointDependencies) {
  const { authenticate, checkConnection, clock, budgetMilliseconds } = dependencies;

  return middy<APIGatewayProxyEventV2, StatusResult>({
    timeoutEarlyInMillis: LAST_MOMENT_MILLISECONDS,
    timeoutEarlyResponse: failOutOfTime,
  })
    .use(answerOverHttp(dependencies))
    .handler(async (event, context) => {
      const remaining = context.getRemainingTimeInMillis() - ANSWER_RESERVE_MILLISECONDS;
      const deadline = clock.monotonicMilliseconds() + Math.min(budgetMilliseconds, remaining);

      const userId = event.pathParameters?.['user_id']?.toLowerCase() ?? '';
      if (!UUID.test(userId)) {
        throw refuseUserId();
      }
      if ((await authenticate(event.headers['authorization'])) !== userId) {
        throw forbidden();
      }
      return checkConnection(userId, deadline);
    });
}

function failOutOfTime(): never {
  throw new OperationalError(
    'OUT_OF_TIME',
    'the answer was not ready before Lambda would have ended the invocation',
  );
}
