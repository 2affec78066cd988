import { formatRequestTime, type GatewayRequest } from './request.ts';
import type { GatewayResponse } from './response.ts';

export interface AccessLogEntry {
  readonly apiId: string;
  readonly request: GatewayRequest;
  /** Absent if no route matched. */
  readonly routeKey: string | undefined;
  readonly response: GatewayResponse;
  readonly latencyInMillis: number;
}

/** @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html */
const contextVariables: Readonly<Record<string, (entry: AccessLogEntry) => string | number | undefined>> = {
  apiId: ({ apiId }) => apiId,
  'error.message': ({ response }) => response.errorMessage,
  httpMethod: ({ request }) => request.method,
  'identity.sourceIp': ({ request }) => request.sourceIp,
  'identity.userAgent': ({ request }) => request.userAgent,
  integrationErrorMessage: ({ response }) => response.integrationErrorMessage,
  integrationLatency: ({ routeKey, latencyInMillis }) => routeKey && latencyInMillis,
  // Lambda's own status: it accepts invocations of functions that then fail.
  integrationStatus: ({ routeKey }) => routeKey && 200,
  path: ({ request }) => request.path,
  protocol: ({ request }) => request.protocol,
  requestId: ({ request }) => request.requestId,
  requestTime: ({ request }) => formatRequestTime(request.receivedAt),
  requestTimeEpoch: ({ request }) => request.receivedAt.getTime(),
  responseLatency: ({ latencyInMillis }) => latencyInMillis,
  responseLength: ({ response }) => response.body.length,
  routeKey: ({ routeKey }) => routeKey,
  stage: () => '$default',
  status: ({ response }) => response.status,
};

/**
 * Prepares a stage's access log format.
 *
 * @returns formats the line of a request; a value that the request lacks is `-`
 * @throws on a variable that is not implemented here
 */
export function compileAccessLogFormat(format: string): (entry: AccessLogEntry) => string {
  const variable = /\$context\.([a-zA-Z.]*[a-zA-Z])/g;
  for (const [, name = ''] of format.matchAll(variable)) {
    if (!Object.hasOwn(contextVariables, name)) {
      throw new Error(`access log: $context.${name} is not implemented on this machine`);
    }
  }
  return (entry) =>
    format.replaceAll(variable, (_match, name: string) =>
      // The format is usually JSON, with the variables in quotes.
      JSON.stringify(String(contextVariables[name]?.(entry) ?? '-')).slice(1, -1),
    );
}
