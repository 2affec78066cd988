import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import type { Clock } from '../connection/clock.ts';
import { SecretError } from '../connection/secret-error.ts';
import type { AwsCaller } from './aws-service.ts';
import { getErrorName } from './error-name.ts';

/** Between two reads because something rejected the value. */
const RENEWAL_INTERVAL_MILLISECONDS = 10_000;

/** Between two reads because the last one failed and no value is known: short, for an operator may just have filled it in. */
const RETRY_INTERVAL_MILLISECONDS = 1_000;

/** What Secrets Manager says of a secret; a binary one has no text. */
const SecretValue = v.object({ SecretString: v.nullish(v.string(), '') });

/** The JSON that one secret holds. */
export type SecretFormat<Value> = {
  readonly schema: v.GenericSchema<unknown, Value>;
  /** What to write into the secret, with placeholders; for error messages. */
  readonly example: string;
  /** How to write it, and what to do where there is no such secret; for error messages. */
  readonly advice: { readonly write: string; readonly find: string };
};

/** What to do about a secret that operators fill in. */
function adviseOperators(secret: 'spotify' | 'supabase'): SecretFormat<unknown>['advice'] {
  return {
    write: `run "npm run operate -- fill-secret ${secret} --stage <stage>"`,
    find: `correct ${secret}SecretArn in cdk.json and deploy; where it is not set, the secret was deleted: restore it`,
  };
}

/**
 * Text that fits into a header. Rejects invisible characters from pasting, such as a zero-width space or a line feed:
 * HTTP clients throw on them or, worse, send them.
 */
const Credential = v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,2048}$/));

/** Says what is expected of a value that is JSON, but not the right one. */
export function describeFormat({ example }: SecretFormat<unknown>): string {
  return `it must be ${example}, in visible ASCII characters`;
}

/** The Spotify app that the users connected. */
export type SpotifyClient = { readonly client_id: string; readonly client_secret: string };

/** The secret that holds the Spotify app's credentials. */
export const SPOTIFY_CLIENT: SecretFormat<SpotifyClient> = {
  schema: v.object({
    client_id: Credential,
    client_secret: Credential,
  }),
  example: '{"client_id": "...", "client_secret": "..."}',
  advice: adviseOperators('spotify'),
};

/** The credentials of the Supabase project. */
export type SupabaseCredentials = {
  /** A secret key (`sb_secret_...`), or a legacy `service_role` JWT. */
  readonly secret_key: string;
  /** The shared secret of projects that sign user tokens with HS256. */
  readonly jwt_secret?: string | undefined;
};

/** The secret that holds Supabase's key. */
export const SUPABASE_CREDENTIALS: SecretFormat<SupabaseCredentials> = {
  schema: v.object({
    secret_key: Credential,
    // Never sent, and chosen by people: spaces within it are theirs.
    jwt_secret: v.optional(v.pipe(v.string(), v.regex(/^(?! )[\x20-\x7e]{1,2048}(?<! )$/))),
  }),
  example: '{"secret_key": "sb_secret_..."}',
  advice: adviseOperators('supabase'),
};

/** What seals the messages of the rescue queue. */
export type RescueKey = { readonly key: string };

/** The secret that holds that key; the stack generates it. */
export const RESCUE_KEY: SecretFormat<RescueKey> = {
  schema: v.object({ key: v.pipe(Credential, v.minLength(32)) }),
  example: '{"key": "32 or more random characters"}',
  advice: { write: 'write one into it', find: 'it was deleted: restore it' },
};

/** A value that may turn out to be rejected. */
export type ReadableSecret<Value> = Pick<Secret<Value>, 'read' | 'renew'>;

/** A value that is in no secret yet. */
export function holdValue<Value>(value: Value): ReadableSecret<Value> {
  return { read: async () => value, renew: async () => value };
}

/**
 * One secret in Secrets Manager: read once, kept, and read again only after its value was rejected, at most
 * once in ten seconds. A failed first read is repeated after a second at the earliest; a later failure changes nothing, so
 * that an outage of Secrets Manager takes no value away.
 */
export class Secret<Value> {
  readonly #secretsManager: AwsCaller;
  readonly #arn: string;
  readonly #format: SecretFormat<Value>;
  readonly #clock: Clock;
  #lastRead: { readonly at: number; readonly value: Promise<Value> } | null = null;
  /** When the known value was asked for, in seconds since 1970. */
  #knownSinceSeconds = Number.NEGATIVE_INFINITY;

  constructor(secretsManager: AwsCaller, arn: string, format: SecretFormat<Value>, clock: Clock) {
    this.#secretsManager = secretsManager;
    this.#arn = arn;
    this.#format = format;
    this.#clock = clock;
  }

  /** The value, from memory when it is known. Rejects with a {@link SecretError}. */
  async read(): Promise<Value> {
    const lastRead = this.#lastRead ?? this.#startRead();
    try {
      return await lastRead.value;
    } catch (error) {
      if (this.#mayReadAgain(lastRead, RETRY_INTERVAL_MILLISECONDS)) {
        return this.#startRead().value;
      }
      throw error;
    }
  }

  /**
   * The value after the current one was rejected: read again, unless that has just been done.
   *
   * @param rejected the value that was rejected
   * @returns a different value, or the same one if there is none newer or it cannot be read
   */
  async renew(rejected: Value): Promise<Value> {
    const lastRead = this.#lastRead;
    if (lastRead !== null && (await lastRead.value) === rejected) {
      if (this.#mayReadAgain(lastRead, RENEWAL_INTERVAL_MILLISECONDS)) this.#startRead(rejected);
    }
    return this.read();
  }

  /** Whether a value that was in use at this time (seconds since 1970) may be newer than the known one. */
  mayHaveMissed(atSeconds: number): boolean {
    return atSeconds > this.#knownSinceSeconds;
  }

  #mayReadAgain(lastRead: { readonly at: number }, intervalInMillis: number): boolean {
    const isLast = lastRead === this.#lastRead;
    return isLast && this.#clock.monotonicMilliseconds() - lastRead.at >= intervalInMillis;
  }

  #startRead(known?: Value): { readonly at: number; readonly value: Promise<Value> } {
    const value = this.#fetch().then(
      (fetched) => (known !== undefined && isDeepStrictEqual(fetched, known) ? known : fetched),
      (error) => known ?? Promise.reject(error),
    );
    const read = { at: this.#clock.monotonicMilliseconds(), value };
    // Callers handle the failure when they await the value; until then it must not end the process.
    read.value.catch(() => {});
    this.#lastRead = read;
    return read;
  }

  async #fetch(): Promise<Value> {
    const askedAtSeconds = Date.now() / 1_000;
    const text = await this.#fetchText();
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      // Without the cause, because the parser quotes its input.
      throw new SecretError(
        'SECRET_MALFORMED',
        `secret ${this.#arn} is not JSON: it must be ${this.#format.example}; ${this.#format.advice.write}`,
      );
    }
    const parsed = v.safeParse(this.#format.schema, json);
    if (!parsed.success) {
      const where = parsed.issues.map((issue) => v.getDotPath(issue) ?? 'the value').join(', ');
      throw new SecretError(
        'SECRET_MALFORMED',
        `secret ${this.#arn} is malformed at ${where}: ${describeFormat(this.#format)}; ${this.#format.advice.write}`,
      );
    }
    this.#knownSinceSeconds = askedAtSeconds;
    return parsed.output;
  }

  async #fetchText(): Promise<string> {
    try {
      const { SecretString } = await this.#secretsManager.call(
        'GetSecretValue',
        { SecretId: this.#arn },
        SecretValue,
      );
      return SecretString;
    } catch (error) {
      const name = getErrorName(error);
      if (name === 'ResourceNotFoundException') {
        const { example, advice } = this.#format;
        throw (await this.#isThere())
          ? new SecretError(
              'SECRET_NOT_FILLED_IN',
              `secret ${this.#arn} has not been filled in: ${advice.write} and give it ${example}`,
              { cause: error },
            )
          : new SecretError('SECRET_MISSING', `there is no secret ${this.#arn}: ${advice.find}`, {
              cause: error,
            });
      }
      throw new SecretError('SECRET_UNREADABLE', `secret ${this.#arn} could not be read: ${name}`, {
        cause: error,
      });
    }
  }

  /** Whether the secret exists, with or without a value. Secrets Manager has one error code for both cases. */
  async #isThere(): Promise<boolean> {
    try {
      await this.#secretsManager.call('DescribeSecret', { SecretId: this.#arn }, v.unknown());
      return true;
    } catch (error) {
      return getErrorName(error) !== 'ResourceNotFoundException';
    }
  }
}
