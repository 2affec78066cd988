import { randomInt, randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { type AccessControl, explainDenial } from './access.ts';
import type { Caller, CredentialIssuer } from './credentials.ts';
import { type JsonAnswer, JsonServer } from './json-server.ts';
import type { Properties } from './resource-types.ts';
import type { Resource, StackTemplate } from './template.ts';

export interface SecretsManagerOptions {
  readonly template: StackTemplate;
  readonly access: AccessControl;
  readonly credentials: CredentialIssuer;
  readonly preferredPort: number;
}

/** The faults that Secrets Manager should have from now on. */
export interface SecretsManagerTrouble {
  readonly delayInMillis?: number;
  /** Every call fails with an internal error. */
  readonly isFailing?: boolean;
  /** Every call is denied, as after a deployment with a broken policy. */
  readonly isDenying?: boolean;
}

interface SecretVersion {
  readonly versionId: string;
  readonly secretString: string;
  readonly createdAt: Date;
}

type GenerateSecretString = NonNullable<Properties<'AWS::SecretsManager::Secret'>['GenerateSecretString']>;

/** The versions of a secret as Secrets Manager lists them: the stages of each, by id. */
export type VersionStages = Readonly<Record<string, readonly string[]>>;

const describeSecretInput = v.strictObject({ SecretId: v.string() });

const getSecretValueInput = v.strictObject({
  SecretId: v.string(),
  VersionStage: v.optional(v.literal('AWSCURRENT')),
});

/**
 * Secrets Manager's `GetSecretValue` and `DescribeSecret` over HTTP. The access key identifies the caller, who may read what the
 * role's policies allow. Secrets start as CloudFormation creates them, generated or empty, until a value is put.
 *
 * @see https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
 */
export class SecretsManager {
  readonly #secrets: readonly Resource<'AWS::SecretsManager::Secret'>[];
  /** The current version, followed by the previous one. */
  readonly #versions = new Map<string, readonly SecretVersion[]>();
  readonly #access: AccessControl;
  readonly #credentials: CredentialIssuer;
  #trouble: SecretsManagerTrouble = {};
  #callCount = 0;
  #server!: JsonServer;

  static async start(options: SecretsManagerOptions): Promise<SecretsManager> {
    const service = new SecretsManager(options);
    service.#server = await JsonServer.start({
      version: '1.1',
      preferredPort: options.preferredPort,
      answer: (input, headers) => service.#answer(input, headers),
    });
    return service;
  }

  private constructor({ template, access, credentials }: SecretsManagerOptions) {
    this.#secrets = template.resourcesOfType('AWS::SecretsManager::Secret');
    for (const { ref, properties } of this.#secrets) {
      if (properties.GenerateSecretString !== undefined) {
        this.putSecretValue(ref, generateSecretString(properties.GenerateSecretString));
      }
    }
    this.#access = access;
    this.#credentials = credentials;
  }

  get url(): string {
    return this.#server.url;
  }

  /** Number of calls so far, including rejected ones. */
  get callCount(): number {
    return this.#callCount;
  }

  /**
   * @param secretId the secret's logical id, name or ARN
   * @returns the id of the new version, which becomes the current one
   */
  putSecretValue(secretId: string, secretString: string): string {
    const { ref } = this.#get(secretId);
    const version = { versionId: randomUUID(), secretString, createdAt: new Date() };
    this.#versions.set(ref, [version, ...(this.#versions.get(ref) ?? []).slice(0, 1)]);
    return version.versionId;
  }

  /** The secret's versions that have a stage, by their ids. */
  versionStagesOf(secretId: string): VersionStages {
    const [current, previous] = this.#versions.get(this.#get(secretId).ref) ?? [];
    return {
      ...(current && { [current.versionId]: ['AWSCURRENT'] }),
      ...(previous && { [previous.versionId]: ['AWSPREVIOUS'] }),
    };
  }

  /** Swaps the current version and the previous one. */
  swapVersions(secretId: string): void {
    const { ref } = this.#get(secretId);
    this.#versions.set(ref, (this.#versions.get(ref) ?? []).toReversed());
  }

  /** Makes a secret empty, as the stack creates it. */
  clearSecretValue(secretId: string): void {
    this.#versions.delete(this.#get(secretId).ref);
  }

  makeTrouble(trouble: SecretsManagerTrouble): void {
    this.#trouble = trouble;
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  async #answer(input: unknown, headers: IncomingHttpHeaders): Promise<JsonAnswer> {
    this.#callCount += 1;
    await sleep(this.#trouble.delayInMillis ?? 0);
    if (this.#trouble.isFailing)
      return failure('InternalServiceError', 'An error occurred on the server side.', 500);

    const operation = String(headers['x-amz-target']).replace('secretsmanager.', '');
    if (operation !== 'GetSecretValue' && operation !== 'DescribeSecret') {
      return failure(
        'UnknownOperationException',
        'only GetSecretValue and DescribeSecret are implemented on this machine',
      );
    }
    const caller = this.#credentials.findCaller(headers.authorization);
    if (!caller) {
      return failure('UnrecognizedClientException', 'The security token included in the request is invalid.');
    }
    const parsed = v.safeParse(
      operation === 'GetSecretValue' ? getSecretValueInput : describeSecretInput,
      input,
    );
    if (!parsed.success) return failure('InvalidParameterException', v.summarize(parsed.issues));
    return this.#look(operation, parsed.output.SecretId, caller);
  }

  #look(operation: 'GetSecretValue' | 'DescribeSecret', secretId: string, caller: Caller): JsonAnswer {
    const secret = this.#secrets.find(({ ref, name }) => ref === secretId || name === secretId);
    const resourceArn = secret?.ref ?? secretId;
    const action = `secretsmanager:${operation}`;
    const decision = this.#trouble.isDenying
      ? 'implicitDeny'
      : this.#access.decide(caller.roleArn, action, resourceArn);
    if (decision !== 'allowed') {
      return failure('AccessDeniedException', explainDenial(decision, caller, action, resourceArn));
    }
    if (!secret) {
      return failure('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
    }
    const identity = { ARN: secret.ref, Name: secret.name };
    if (operation === 'DescribeSecret') {
      return {
        status: 200,
        body: { ...identity, VersionIdsToStages: this.versionStagesOf(secret.ref) },
      };
    }
    const [version] = this.#versions.get(secret.ref) ?? [];
    if (!version) {
      return failure(
        'ResourceNotFoundException',
        "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
      );
    }
    return {
      status: 200,
      body: {
        ...identity,
        CreatedDate: version.createdAt.getTime() / 1000,
        SecretString: version.secretString,
        VersionId: version.versionId,
        VersionStages: ['AWSCURRENT'],
      },
    };
  }

  #get(secretId: string): Resource<'AWS::SecretsManager::Secret'> {
    const secret = this.#secrets.find(({ ref, name, logicalId }) =>
      [ref, name, logicalId].includes(secretId),
    );
    if (!secret) throw new Error(`the stack has no secret ${secretId}`);
    return secret;
  }
}

function failure(type: string, message: string, status = 400): JsonAnswer {
  return { status, body: { __type: type, Message: message } };
}

/** @see https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-secretsmanager-secret-generatesecretstring.html */
function generateSecretString({ PasswordLength, ...generate }: GenerateSecretString): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const password = Array.from({ length: PasswordLength }, () => alphabet[randomInt(alphabet.length)]).join(
    '',
  );
  return JSON.stringify({
    ...JSON.parse(generate.SecretStringTemplate),
    [generate.GenerateStringKey]: password,
  });
}
