import type { Properties } from '../resource-types.ts';
import type { GatewayRequest } from './request.ts';
import type { GatewayResponse } from './response.ts';

export type CorsConfiguration = NonNullable<Properties<'AWS::ApiGatewayV2::Api'>['CorsConfiguration']>;

/**
 * The gateway's own answer to a preflight request, for any path; without permissions if the origin is not
 * configured.
 *
 * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
 */
export function createPreflightAnswer(request: GatewayRequest, cors: CorsConfiguration): GatewayResponse {
  return {
    status: 204,
    headers: !isAllowedOrigin(request, cors)
      ? {}
      : {
          ...originHeaders(request, cors),
          'access-control-allow-headers': cors.AllowHeaders.join(','),
          'access-control-allow-methods': cors.AllowMethods.join(','),
          ...(cors.MaxAge !== undefined && { 'access-control-max-age': String(cors.MaxAge) }),
        },
    cookies: [],
    body: Buffer.alloc(0),
  };
}

/**
 * Sets the configured CORS headers on a function's answer, and replaces those of the function. The
 * gateway's own answers get none: AWS does not guarantee them any.
 */
export function applyCors(
  response: GatewayResponse,
  request: GatewayRequest,
  cors: CorsConfiguration,
): GatewayResponse {
  const ownHeaders = Object.entries(response.headers).filter(([name]) => !name.startsWith('access-control-'));
  return {
    ...response,
    headers: {
      ...Object.fromEntries(ownHeaders),
      ...(isAllowedOrigin(request, cors) && originHeaders(request, cors)),
    },
  };
}

function isAllowedOrigin({ headers }: GatewayRequest, { AllowOrigins }: CorsConfiguration): boolean {
  return AllowOrigins.includes(headers['origin'] ?? '');
}

function originHeaders(
  { headers }: GatewayRequest,
  { ExposeHeaders }: CorsConfiguration,
): Record<string, string> {
  return {
    'access-control-allow-origin': headers['origin'] ?? '',
    ...(ExposeHeaders.length > 0 && { 'access-control-expose-headers': ExposeHeaders.join(',') }),
  };
}
