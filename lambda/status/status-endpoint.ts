import middy from '@middy/core';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import type { Clock } from '../connection/clock.ts';
import { StoreError } from '../connection/connection-store.ts';
import type { Log } from '../connection/log.ts';
import type { Metric, Metrics } from '../connection/metrics.ts';
import { SecretError } from '../connection/secret-error.ts';
import { answerOf } from './answer.ts';
import { AuthenticationError, KeySetUnavailableError } from './authentication.ts';
import type { ConnectionStatus } from './check-connection.ts';
import { forbidden, invalidUserId, Problem, unauthorized, unavailable } from './problem.ts';

/** Kept free at the end of an invocation to send the answer. */
const ANSWER_RESERVE_MILLISECONDS = 500;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** What the endpoint works with. */
export type StatusEndpointDependencies = {
  /** The user id in a verified bearer token; see `authenticate`. */
  readonly authenticate: (authorization: string | undefined) => Promise<string>;
  /** The use case, with everything it needs; see `checkConnection`. */
  readonly checkConnection: (userId: string, deadline: number) => Promise<ConnectionStatus>;
  readonly clock: Clock;
  readonly log: Log & { startInvocation(context: Context, apiRequestId: string): void };
  readonly metrics: Metrics;
  /** Milliseconds that a request may take for its own work. */
  readonly budgetMilliseconds: number;
};

/** What is measured of an answer. */
const METRIC_OF = {
  connected: 'statusConnected',
  degraded: 'statusDegraded',
  not_connected: 'statusNotConnected',
  reauthorization_required: 'statusReauthorizationRequired',
  refresh_failed: 'statusRefreshFailed',
  refused: 'statusRefused',
  unavailable: 'statusUnavailable',
} as const satisfies Record<string, Metric>;

type Answer = {
  readonly kind: keyof typeof METRIC_OF;
  readonly response: APIGatewayProxyStructuredResultV2;
};

/**
 * `GET .../music/status/{user_id}`: says whether the user is connected. Everything that can go wrong is answered
 * with a problem; only a defect of ours leaves as an error, which the gateway answers with its own 500.
 */
export function createStatusEndpoint(dependencies: StatusEndpointDependencies) {
  const { clock, log, metrics } = dependencies;

  return middy<APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2>()
    .before(({ event, context }) => log.startInvocation(context, event.requestContext.requestId))
    .handler(async (event, context) => {
      const startedAt = clock.monotonicMilliseconds();
      const { kind, response } = await answer(event, context, startedAt, dependencies).catch(
        (error: unknown) => answerProblem(error, event, log),
      );
      const statusLatencyMilliseconds = clock.monotonicMilliseconds() - startedAt;
      metrics.add({ [METRIC_OF[kind]]: 1, statusLatencyMilliseconds });
      return response;
    });
}

async function answer(
  event: APIGatewayProxyEventV2,
  context: Context,
  startedAt: number,
  { authenticate, checkConnection, clock, log, budgetMilliseconds }: StatusEndpointDependencies,
): Promise<Answer> {
  const remaining = context.getRemainingTimeInMillis() - ANSWER_RESERVE_MILLISECONDS;
  const deadline = startedAt + Math.min(budgetMilliseconds, remaining);

  const userId = event.pathParameters?.['user_id']?.toLowerCase() ?? '';
  if (!UUID.test(userId)) {
    throw invalidUserId();
  }
  if ((await authenticate(event.headers['authorization'])) !== userId) {
    throw forbidden();
  }
  const status = await checkConnection(userId, deadline);
  logAnswer(log, userId, status, clock.monotonicMilliseconds() - startedAt);
  return {
    kind: status.kind === 'connected' && status.degraded ? 'degraded' : status.kind,
    response: respond(200, 'application/json', answerOf(status)),
  };
}

function answerProblem(error: unknown, event: APIGatewayProxyEventV2, log: Log): Answer {
  const problem = problemOf(error);
  if (problem === null) {
    throw error;
  }
  const { status, title, detail, headers } = problem;
  const isOutage = status === 503;
  log[isOutage ? 'error' : 'warn']('status refused', { status, ...causeOf(error) });
  const instance = event.requestContext.requestId;
  const body = { type: 'about:blank', title, status, detail, instance };
  return {
    kind: isOutage ? 'unavailable' : 'refused',
    response: respond(status, 'application/problem+json', body, headers),
  };
}

/** The problem that an error is to the caller; null for a defect of ours. */
function problemOf(error: unknown): Problem | null {
  if (error instanceof Problem) {
    return error;
  }
  if (error instanceof AuthenticationError) {
    return unauthorized(
      error.code === 'TOKEN_MISSING'
        ? 'Please sign in: the request carries no bearer token.'
        : 'Please sign in again: your session is not valid or has ended.',
    );
  }
  const isOutage =
    error instanceof StoreError || error instanceof SecretError || error instanceof KeySetUnavailableError;
  return isOutage ? unavailable() : null;
}

function causeOf(error: unknown): { code?: string; reason?: string } {
  return error instanceof Error && !(error instanceof Problem)
    ? { ...('code' in error && { code: String(error.code) }), reason: error.message }
    : {};
}

function logAnswer(log: Log, userId: string, status: ConnectionStatus, latencyMilliseconds: number): void {
  const details = 'details' in status ? status.details : null;
  log.info('status answered', {
    user_id: userId,
    outcome: status.kind,
    expires_at: details?.expiresAt,
    seconds_left: details?.secondsLeft,
    needs_refresh: status.kind === 'connected' ? status.degraded : status.kind === 'refresh_failed',
    auto_refreshed: status.kind === 'connected' && status.autoRefreshed,
    latency_ms: Math.round(latencyMilliseconds),
  });
}

function respond(
  statusCode: number,
  contentType: string,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): APIGatewayProxyStructuredResultV2 {
  return {
    statusCode,
    headers: { 'content-type': contentType, 'cache-control': 'no-store', ...headers },
    body: JSON.stringify(body),
  };
}
