import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import * as v from 'valibot';
import { HttpRequests, type ReceivedAnswer } from './http-requests.ts';

/** Secrets hold 64 kB at most; JSON may need six characters for one of them. */
const LONGEST_BODY_BYTES = 512 * 1024;

const ATTEMPTS = 2;

/** Errors of Secrets Manager that a second attempt may not meet. */
const PASSING_ERRORS = new Set(['ThrottlingException', 'InternalServiceError', 'InternalFailure']);

const SecretValue = v.object({ SecretString: v.optional(v.string(), '') });

/** How the JSON protocol of AWS names an error; in front of `#` there may be a namespace. */
const Refusal = v.object({
  __type: v.pipe(
    v.string(),
    v.transform((type) => type.replace(/^.*#/, '')),
  ),
});

/** Why a call failed: `name` is what Secrets Manager calls it, or how it could not be reached. */
class SecretsManagerError extends Error {
  constructor(name: string) {
    super(name);
    this.name = name;
  }
}

/** Where Secrets Manager is, and who asks. */
export type SecretsManagerOptions = {
  readonly endpoint: URL;
  readonly region: string;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string | undefined;
  };
  /** For each of two attempts. */
  readonly timeoutMilliseconds: number;
};

/**
 * The two operations of Secrets Manager that the functions use. AWS's own signer signs the requests; the rest of its SDK would
 * take a quarter of a cold start to load (docs/decisions/0012).
 */
export class SecretsManager {
  readonly #endpoint: URL;
  readonly #requests: HttpRequests;
  readonly #signer: SignatureV4;
  readonly #timeoutMilliseconds: number;

  constructor({ endpoint, region, credentials, timeoutMilliseconds }: SecretsManagerOptions) {
    this.#endpoint = endpoint;
    this.#requests = new HttpRequests(endpoint, { longestBodyBytes: LONGEST_BODY_BYTES, isLenient: false });
    this.#signer = new SignatureV4({
      service: 'secretsmanager',
      region,
      credentials: {
        accessKeyId: credentials.accessKeyId,
        secretAccessKey: credentials.secretAccessKey,
        ...(credentials.sessionToken !== undefined && { sessionToken: credentials.sessionToken }),
      },
      sha256: Sha256,
    });
    this.#timeoutMilliseconds = timeoutMilliseconds;
  }

  /** The text of the current version; empty where it is binary. Rejects with an error whose name says why. */
  async getSecretValue(arn: string): Promise<string> {
    const answer = await this.#call('GetSecretValue', arn);
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), SecretValue), answer.text);
    if (!parsed.success) {
      throw new SecretsManagerError('an answer that is no secret value');
    }
    return parsed.output.SecretString;
  }

  /** Resolves if there is such a secret. Rejects with an error whose name says why that is not known, or that there is none. */
  async describeSecret(arn: string): Promise<void> {
    await this.#call('DescribeSecret', arn);
  }

  async #call(operation: string, arn: string): Promise<ReceivedAnswer> {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#send(operation, JSON.stringify({ SecretId: arn }));
      if (answer.failure === null && answer.status === 200) {
        return answer;
      }
      const name = nameFailure(answer);
      const isPassing = answer.failure !== null || answer.status >= 500 || PASSING_ERRORS.has(name);
      if (!isPassing || attempt === ATTEMPTS) {
        throw new SecretsManagerError(name);
      }
    }
  }

  async #send(operation: string, body: string): Promise<ReceivedAnswer> {
    const { protocol, hostname, host } = this.#endpoint;
    const { headers } = await this.#signer.sign({
      method: 'POST',
      protocol,
      hostname,
      path: '/',
      headers: {
        host,
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': `secretsmanager.${operation}`,
      },
      body,
    });
    const sent = Object.entries(headers).filter(([header]) => header !== 'host');
    return this.#requests.send(
      { method: 'POST', path: '/', headers: sent.flat(), body },
      this.#timeoutMilliseconds,
    );
  }
}

/**
 * What Lambda's environment says of AWS.
 *
 * @param variables with the addresses that AWS's SDKs take too, where AWS is somewhere else
 *   (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html)
 */
export function readAwsEnvironment(
  variables: NodeJS.ProcessEnv,
): Pick<SecretsManagerOptions, 'endpoint' | 'region' | 'credentials'> {
  const region = variables['AWS_REGION'] ?? '';
  const domain = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  const endpoint =
    variables['AWS_ENDPOINT_URL_SECRETS_MANAGER'] ??
    variables['AWS_ENDPOINT_URL'] ??
    `https://secretsmanager.${region}.${domain}`;
  return {
    endpoint: new URL(endpoint),
    region,
    credentials: {
      accessKeyId: variables['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: variables['AWS_SECRET_ACCESS_KEY'] ?? '',
      sessionToken: variables['AWS_SESSION_TOKEN'],
    },
  };
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
