import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SignatureV4 } from '@smithy/signature-v4';
import * as v from 'valibot';
import { HttpRequests, type ReceivedAnswer } from './http-requests.ts';

/** The services that the functions call: the namespace of their operations, and the variable with another address. */
const SERVICES = {
  events: { target: 'AWSEvents', protocol: '1.1', endpointVariable: 'AWS_ENDPOINT_URL_EVENTBRIDGE' },
  secretsmanager: {
    target: 'secretsmanager',
    protocol: '1.1',
    endpointVariable: 'AWS_ENDPOINT_URL_SECRETS_MANAGER',
  },
  sqs: { target: 'AmazonSQS', protocol: '1.0', endpointVariable: 'AWS_ENDPOINT_URL_SQS' },
} as const;

export type AwsServiceName = keyof typeof SERVICES;

/** More than any of them answers: messages of a queue, 1 MB together, in JSON, which may need six bytes for one. */
const LONGEST_BODY_BYTES = 8 * 1024 * 1024;

const ATTEMPTS = 2;

/** For one attempt, unless another time is given; the answer comes from within the region. */
const USUAL_ATTEMPT_MILLISECONDS = 2_000;

/** Before the second attempt: half as long at least, so that those that failed together do not return together. */
const LONGEST_PAUSE_MILLISECONDS = 100;

/** Errors that a second attempt may not meet, besides those of the service itself (status 5xx). */
const PASSING_ERRORS =
  /Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|RequestTimeout|RequestExpired|InvalidSignature/;

/** How the JSON protocol names an error; in front of `#` there may be a namespace. */
const Refusal = v.object({
  __type: v.pipe(
    v.string(),
    v.transform((type) => type.replace(/^.*#/, '')),
  ),
});

/** Why a call failed: `name` is what the service calls it, or how it could not be reached. */
export class AwsError extends Error {
  constructor(name: string) {
    super(name);
    this.name = name;
  }
}

/** What calls a service. */
export type AwsCaller = Pick<AwsService, 'call'>;

/**
 * One of AWS's services, by its JSON protocol. AWS's own signer signs the requests; its SDK's clients would
 * double the processor time that a cold start takes to load the function (docs/decisions/0012).
 */
export class AwsService {
  readonly #name: AwsServiceName;
  readonly #endpoint: URL;
  readonly #requests: HttpRequests;
  readonly #signer: SignatureV4;
  readonly #attemptMilliseconds: number;

  /**
   * @param variables what Lambda's environment says of AWS: the region, the role's credentials, and the addresses that AWS's
   *   SDKs take too, where AWS is somewhere else (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html)
   */
  constructor(
    name: AwsServiceName,
    variables: NodeJS.ProcessEnv,
    attemptMilliseconds = USUAL_ATTEMPT_MILLISECONDS,
  ) {
    const { AWS_SESSION_TOKEN: sessionToken } = variables;
    this.#name = name;
    this.#attemptMilliseconds = attemptMilliseconds;
    this.#endpoint = findAwsEndpoint(name, variables);
    this.#requests = new HttpRequests(this.#endpoint, {
      longestBodyBytes: LONGEST_BODY_BYTES,
      isLenient: false,
    });
    this.#signer = new SignatureV4({
      service: name,
      region: readRegion(variables),
      credentials: {
        accessKeyId: variables['AWS_ACCESS_KEY_ID'] ?? '',
        secretAccessKey: variables['AWS_SECRET_ACCESS_KEY'] ?? '',
        ...(sessionToken !== undefined && { sessionToken }),
      },
      sha256: Sha256,
    });
  }

  /**
   * Calls an operation; once more after a short pause if the service is out of reach, fails or throttles. The first attempt takes
   * no more than half of the time.
   *
   * @param schema what is needed of the answer
   * @param timeoutMilliseconds for both attempts together @default - twice that of an attempt, and the pause
   * @returns the answer; rejects with an {@link AwsError}
   */
  async call<Output>(
    operation: string,
    input: object,
    schema: v.GenericSchema<unknown, Output>,
    timeoutMilliseconds = ATTEMPTS * this.#attemptMilliseconds + LONGEST_PAUSE_MILLISECONDS,
  ): Promise<Output> {
    const deadline = performance.now() + timeoutMilliseconds;
    const body = JSON.stringify(input);
    for (let attempt = 1; ; attempt += 1) {
      const timeLeft = Math.max(1, deadline - performance.now()) / (ATTEMPTS - attempt + 1);
      const answer = await this.#send(operation, body, Math.min(this.#attemptMilliseconds, timeLeft));
      if (answer.failure === null && answer.status === 200) {
        return readOutput(answer.text, schema);
      }
      const name = nameFailure(answer);
      const isPassing =
        answer.failure !== null || answer.status >= 500 || answer.status === 429 || PASSING_ERRORS.test(name);
      const pauseMilliseconds = LONGEST_PAUSE_MILLISECONDS * (0.5 + Math.random() / 2);
      if (!isPassing || attempt === ATTEMPTS || performance.now() + pauseMilliseconds >= deadline) {
        throw new AwsError(name);
      }
      await sleep(pauseMilliseconds);
    }
  }

  async #send(operation: string, body: string, timeoutMilliseconds: number): Promise<ReceivedAnswer> {
    const { protocol, hostname, host } = this.#endpoint;
    const service = SERVICES[this.#name];
    const { headers } = await this.#signer.sign({
      method: 'POST',
      protocol,
      hostname,
      path: '/',
      headers: {
        host,
        'content-type': `application/x-amz-json-${service.protocol}`,
        'x-amz-target': `${service.target}.${operation}`,
      },
      body,
    });
    const sent = Object.entries(headers).filter(([header]) => header !== 'host');
    return this.#requests.send(
      { method: 'POST', path: '/', headers: sent.flat(), body },
      timeoutMilliseconds,
    );
  }
}

function readRegion(variables: NodeJS.ProcessEnv): string {
  return variables['AWS_REGION'] ?? '';
}

/** Where a service is, as Lambda's environment says. */
export function findAwsEndpoint(name: AwsServiceName, variables: NodeJS.ProcessEnv): URL {
  const region = readRegion(variables);
  const domain = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  return new URL(
    variables[SERVICES[name].endpointVariable] ??
      variables['AWS_ENDPOINT_URL'] ??
      `https://${name}.${region}.${domain}`,
  );
}

/** @param text JSON, or nothing where an operation answers nothing */
function readOutput<Output>(text: string, schema: v.GenericSchema<unknown, Output>): Output {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), schema), text === '' ? '{}' : text);
  if (!parsed.success) {
    throw new AwsError('an answer that is not understood');
  }
  return parsed.output;
}

function nameFailure({ status, text, failure }: ReceivedAnswer): string {
  if (failure !== null) {
    return 'code' in failure ? String(failure.code) : failure.message;
  }
  const refusal = v.safeParse(v.pipe(v.string(), v.parseJson(), Refusal), text);
  return refusal.success ? refusal.output.__type : `status ${status}`;
}

/** SHA-256 as the signer takes it: with a key, its HMAC. */
class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(key?: string | ArrayBuffer | ArrayBufferView) {
    // The signer's type is wider than what it passes: text and bytes.
    this.#hash = key === undefined ? createHash('sha256') : createHmac('sha256', key as string | Uint8Array);
  }

  update(data: Uint8Array): void {
    this.#hash.update(data);
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }

  reset(): void {}
}
