import type { StackTemplate } from '../template.ts';

/** What CloudWatch counts for every line beside the line itself. */
const BYTES_PER_EVENT = 26;

/**
 * The log groups that take the lines of functions and of the API's access log, by what `OnLog` calls their source.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html
 */
export function logGroupsOf(template: StackTemplate): ReadonlyMap<string, string> {
  const functions = template
    .resourcesOfType('AWS::Lambda::Function')
    .map(
      ({ name, properties }) => [name, properties.LoggingConfig?.LogGroup ?? `/aws/lambda/${name}`] as const,
    );
  const stages = template.resourcesOfType('AWS::ApiGatewayV2::Stage');
  const apis = template.resourcesOfType('AWS::ApiGatewayV2::Api').flatMap(({ ref, properties }) => {
    const stage = stages.find((candidate) => candidate.properties.ApiId === ref);
    const [, logGroup] =
      /:log-group:([^:]+)/.exec(stage?.properties.AccessLogSettings?.DestinationArn ?? '') ?? [];
    return logGroup === undefined ? [] : [[properties.Name, logGroup] as const];
  });
  return new Map([...functions, ...apis]);
}

/** @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch-Logs-Monitoring-CloudWatch-Metrics.html */
export function bytesOf(line: string): number {
  return Buffer.byteLength(line) + BYTES_PER_EVENT;
}
