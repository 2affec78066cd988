import type { StackTemplate } from '../template.ts';
import { matchesWildcard } from '../wildcard.ts';

export interface Route {
  /** Such as `GET /status/{user_id}`. */
  readonly routeKey: string;
  readonly functionArn: string;
  /** Whether the function's own policy lets API Gateway invoke it for this route. */
  readonly isPermitted: boolean;
}

export interface RouteMatch {
  readonly route: Route;
  /** URL-decoded values of the path variables. */
  readonly pathParameters: Readonly<Record<string, string>>;
}

/** @throws if a route does not lead to a function of the template */
export function readRoutes(template: StackTemplate, apiId: string): readonly Route[] {
  const integrations = template.resourcesOfType('AWS::ApiGatewayV2::Integration');
  const functions = template.resourcesOfType('AWS::Lambda::Function');
  const permissions = template.resourcesOfType('AWS::Lambda::Permission');
  return template.resourcesOfType('AWS::ApiGatewayV2::Route').map(({ logicalId, properties }) => {
    const { RouteKey: routeKey, Target } = properties;
    const integration = integrations.find(({ ref }) => Target === `integrations/${ref}`);
    if (!integration) throw new Error(`${logicalId}: the stack has no integration ${Target}`);
    const functionArn = integration.properties.IntegrationUri;
    const target = functions.find(({ attributes }) => attributes.Arn === functionArn);
    if (!target) throw new Error(`${integration.logicalId}: the stack has no function ${functionArn}`);
    const [method, path] = splitRouteKey(routeKey);
    const sourceArn = `arn:aws:execute-api:${template.region}:${template.accountId}:${apiId}/$default/${method}${path}`;
    return {
      routeKey,
      functionArn,
      isPermitted: permissions.some(
        ({ properties: { FunctionName, Principal, SourceArn = '*' } }) =>
          [target.ref, functionArn].includes(FunctionName) &&
          Principal === 'apigateway.amazonaws.com' &&
          matchesWildcard(SourceArn, sourceArn),
      ),
    };
  });
}

/**
 * Finds the route of a request; routes without variables take precedence.
 *
 * @param path as the client sent it, without the query
 * @throws URIError if a variable's value is not validly encoded
 */
export function matchRoute(routes: readonly Route[], method: string, path: string): RouteMatch | undefined {
  const matches = routes.flatMap((route) => {
    const [routeMethod, routePath] = splitRouteKey(route.routeKey);
    const pathParameters = routeMethod === method ? matchPath(routePath, path) : undefined;
    return pathParameters ? [{ route, pathParameters }] : [];
  });
  const countVariables = ({ pathParameters }: RouteMatch) => Object.keys(pathParameters).length;
  return matches.sort((a, b) => countVariables(a) - countVariables(b))[0];
}

function matchPath(routePath: string, path: string): Record<string, string> | undefined {
  const expected = routePath.split('/');
  const actual = path.split('/');
  if (expected.length !== actual.length) return undefined;
  const parameters: Record<string, string> = {};
  for (const [index, segment] of expected.entries()) {
    const value = actual[index] ?? '';
    const [, variable] = segment.match(/^\{(.+)\}$/) ?? [];
    if (variable && value) parameters[variable] = decodeURIComponent(value);
    else if (segment !== value) return undefined;
  }
  return parameters;
}

function splitRouteKey(routeKey: string): [method: string, path: string] {
  const [method = '', path = ''] = routeKey.split(' ');
  return [method, path];
}
