import * as v from 'valibot';
import type { InvocationResult } from '../invocation.ts';

/** An answer of the gateway; header names are in lower case. */
export interface GatewayResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly cookies: readonly string[];
  readonly body: Buffer;
  /** The message, if the answer is the gateway's own. */
  readonly errorMessage?: string;
  /** The function's error, only for the access log. */
  readonly integrationErrorMessage?: string;
}

/** The characters that `node:http` accepts in a header: others could start a second header or a second answer. */
const headerName = v.pipe(v.string(), v.regex(/^[\w!#$%&'*+.^`|~-]+$/));
const headerValue = v.pipe(
  v.union([v.string(), v.number(), v.boolean()]),
  v.transform(String),
  v.regex(/^[\t\x20-\x7e\x80-\xff]*$/),
);

const proxyResult = v.object({
  statusCode: v.pipe(v.unknown(), v.transform(Number), v.integer(), v.minValue(100), v.maxValue(599)),
  headers: v.optional(v.record(headerName, headerValue), {}),
  cookies: v.optional(v.array(headerValue), []),
  body: v.optional(v.string(), ''),
  isBase64Encoded: v.optional(v.boolean(), false),
});

/** The gateway's own answer. */
export function createGatewayAnswer(status: number, message: string): GatewayResponse {
  return { ...createJsonAnswer(status, JSON.stringify({ message })), errorMessage: message };
}

/** The gateway's answer if its function cannot be invoked, fails, or returns an unusable result. */
export function createIntegrationFailure(integrationErrorMessage: string): GatewayResponse {
  return { ...createGatewayAnswer(500, 'Internal Server Error'), integrationErrorMessage };
}

/**
 * Converts a function's result to an answer: a result with `statusCode` is the whole answer, anything else is
 * the JSON body of a 200; a failed invocation or an unusable answer becomes a 500.
 *
 * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
 */
export function createResponse({ payload, functionError }: InvocationResult): GatewayResponse {
  if (functionError) {
    return createIntegrationFailure(
      `The Lambda function returned the following error: ${JSON.parse(payload).errorMessage}. Check your Lambda function code and try again.`,
    );
  }
  const result: unknown = JSON.parse(payload);
  if (typeof result === 'string') return createJsonAnswer(200, result);
  if (typeof result !== 'object' || result === null || !('statusCode' in result)) {
    return createJsonAnswer(200, payload);
  }
  const parsed = v.safeParse(proxyResult, result);
  if (!parsed.success) {
    return createIntegrationFailure(
      `The response from the Lambda function doesn't match the format that API Gateway expects. ${v.summarize(parsed.issues)}`,
    );
  }
  const { statusCode, headers, cookies, body, isBase64Encoded } = parsed.output;
  return {
    status: statusCode,
    headers: {
      'content-type': 'text/plain;charset=UTF-8',
      ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    },
    cookies,
    body: Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8'),
  };
}

function createJsonAnswer(status: number, body: string): GatewayResponse {
  return { status, headers: { 'content-type': 'application/json' }, cookies: [], body: Buffer.from(body) };
}
