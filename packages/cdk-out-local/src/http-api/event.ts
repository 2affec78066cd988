import { randomBytes } from 'node:crypto';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { formatRequestTime, type GatewayRequest } from './request.ts';
import type { RouteMatch } from './routes.ts';

export interface ApiIdentity {
  readonly apiId: string;
  readonly accountId: string;
  readonly region: string;
}

/** Content types that an HTTP API passes to a function as text; all others are base64-encoded. */
const TEXT_CONTENT_TYPE = /^(text\/|application\/(json|javascript|xml)\b)/i;

/**
 * The event of payload format 2.0.
 *
 * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
 */
export function createEvent(
  request: GatewayRequest,
  { route, pathParameters }: RouteMatch,
  { apiId, accountId, region }: ApiIdentity,
): APIGatewayProxyEventV2 {
  const { cookie, connection: _hopByHop, ...headers } = request.headers;
  const path = decodeURIComponent(request.path);
  const query = readQuery(request.queryString);
  const isText = TEXT_CONTENT_TYPE.test(headers['content-type'] ?? 'text/plain');
  return {
    version: '2.0',
    routeKey: route.routeKey,
    rawPath: path,
    rawQueryString: request.queryString,
    ...(cookie !== undefined && { cookies: cookie.split(/;\s*/) }),
    headers: {
      ...headers,
      'x-amzn-trace-id': `Root=1-${toHexSeconds(request.receivedAt)}-${randomBytes(12).toString('hex')}`,
      'x-forwarded-for': request.sourceIp,
      'x-forwarded-port': '443',
      'x-forwarded-proto': 'https',
    },
    ...(request.queryString !== '' && { queryStringParameters: query }),
    requestContext: {
      accountId,
      apiId,
      domainName: `${apiId}.execute-api.${region}.amazonaws.com`,
      domainPrefix: apiId,
      http: {
        method: request.method,
        path,
        protocol: request.protocol,
        sourceIp: request.sourceIp,
        userAgent: request.userAgent,
      },
      requestId: request.requestId,
      routeKey: route.routeKey,
      stage: '$default',
      time: formatRequestTime(request.receivedAt),
      timeEpoch: request.receivedAt.getTime(),
    },
    ...(Object.keys(pathParameters).length > 0 && { pathParameters }),
    ...(request.body.length > 0 && { body: request.body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: request.body.length > 0 && !isText,
  };
}

/** Values of a repeated parameter are joined by commas. */
function readQuery(queryString: string): Record<string, string> {
  const query: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(queryString)) {
    query[name] = name in query ? `${query[name]},${value}` : value;
  }
  return query;
}

function toHexSeconds(time: Date): string {
  return Math.floor(time.getTime() / 1000).toString(16);
}
