import type { MiddlewareObj } from '@middy/core';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import type { Clock } from '../connection/clock.ts';
import type { Log } from '../connection/log.ts';
import type { Metric, Metrics } from '../connection/metrics.ts';
import { OperationalError } from '../connection/operational-error.ts';
import { toAnswer } from './answer.ts';
import { AuthenticationError, UnknownKeyError } from './authentication.ts';
import type { ConnectionStatus } from './check-connection.ts';
import { Problem, unauthorized, unavailable } from './problem.ts';

/** The handler's result, and its final form. */
export type StatusResult = ConnectionStatus | APIGatewayProxyStructuredResultV2;

/** The metrics of an answer. */
const METRICS = {
  connected: 'statusConnected',
  degraded: 'statusDegraded',
  not_connected: 'statusNotConnected',
  reauthorization_required: 'statusReauthorizationRequired',
  refresh_failed: 'statusRefreshFailed',
  refused: 'statusRefused',
  keyUnknown: 'statusKeyUnknown',
  unavailable: 'statusUnavailable',
} as const satisfies Record<string, Metric>;

type Dependencies = { readonly clock: Clock; readonly log: Log; readonly metrics: Metrics };
type Internal = { startedAt: number };

/**
 * Turns the handler's result into an HTTP answer, and its rejection into a problem (RFC 9457); logs
 * and measures both. Neither may be cached. Only a defect in our code leaves as an error, which the gateway answers with
 * its own 500.
 */
export function answerOverHttp({
  clock,
  log,
  metrics,
}: Dependencies): MiddlewareObj<APIGatewayProxyEventV2, StatusResult, Error, Context, Internal> {
  return {
    before({ internal }) {
      internal.startedAt = clock.monotonicMilliseconds();
    },

    after(request) {
      const status = request.response as ConnectionStatus;
      const latency = clock.monotonicMilliseconds() - request.internal.startedAt;
      logAnswer(log, request.event, status, latency);
      measure(status.kind === 'connected' && status.degraded ? 'degraded' : status.kind, latency);
      request.response = respond(200, 'application/json', toAnswer(status));
    },

    onError(request) {
      const problem = toProblem(request.error);
      if (problem === null) {
        return;
      }
      const { status, title, detail, headers } = problem;
      // An unknown key is not an outage: anyone can make up a key id, and must not be able to set off an alarm.
      const isKeyUnknown = request.error instanceof UnknownKeyError;
      const isOutage = status === 503 && !isKeyUnknown;
      const latency = clock.monotonicMilliseconds() - request.internal.startedAt;
      const fields = { status, ...describeCause(request.error), latency_ms: Math.round(latency) };
      if (isOutage) {
        log.error('status unavailable', fields);
      } else {
        log.warn('status refused', fields);
      }
      measure(isKeyUnknown ? 'keyUnknown' : isOutage ? 'unavailable' : 'refused', latency);
      const instance = request.event.requestContext.requestId;
      const body = { type: 'about:blank', title, status, detail, instance };
      request.response = respond(status, 'application/problem+json', body, headers);
    },
  };

  function measure(kind: keyof typeof METRICS, statusLatencyMilliseconds: number): void {
    metrics.add({ [METRICS[kind]]: 1, statusLatencyMilliseconds });
  }
}

/** The problem for an error; null for a defect in our code. */
function toProblem(error: unknown): Problem | null {
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
  return error instanceof OperationalError ? unavailable() : null;
}

function describeCause(error: unknown): { code?: string; reason?: string } {
  return error instanceof AuthenticationError || error instanceof OperationalError
    ? { code: error.code, reason: error.message }
    : {};
}

function logAnswer(
  log: Log,
  { pathParameters }: APIGatewayProxyEventV2,
  status: ConnectionStatus,
  latencyMilliseconds: number,
): void {
  const details = 'details' in status ? status.details : null;
  log.info('status answered', {
    user_id: pathParameters?.['user_id']?.toLowerCase(),
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
