import type { Properties } from '../resource-types.ts';
import type { GatewayRequest } from './request.ts';
import type { GatewayResponse } from './response.ts';

export type CorsConfiguration = NonNullable<Properties<'AWS::ApiGatewayV2::Api'>['CorsConfiguration']>;

/**
 * The gateway's own answer to a preflight request, for any path; without permissions where the origin is not one of
 * those configured.
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
 * Puts the configured CORS headers on a function's answer, in place of those that the function may have set. The
 * gateway's own answers stay without: AWS does not promise them any.
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
