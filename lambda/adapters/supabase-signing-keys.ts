import type { IncomingHttpHeaders } from 'node:http';
import { createLocalJWKSet, errors, type FlattenedJWSInput, type JWSHeaderParameters } from 'jose';
import { OperationalError } from '../connection/operational-error.ts';
import { describeFailedRequest, type HttpRequest, HttpRequests } from './http-requests.ts';

const REQUEST: HttpRequest = {
  method: 'GET',
  path: '/auth/v1/.well-known/jwks.json',
  headers: ['accept', 'application/json'],
  body: '',
};

const LONGEST_BODY_BYTES = 1024 * 1024;

/** Supabase's own `max-age`, and the longest time that any answer is kept. */
const LONGEST_LIFETIME_MILLISECONDS = 600_000;

/** The shortest time, also for an answer that must not be cached or that is already stale. */
const SHORTEST_LIFETIME_MILLISECONDS = 10_000;

/**
 * After a failed request, the server is not asked again for this long, whatever tokens arrive. Longer than
 * the timeout. It counts from the request, not from the failure, which may be noticed only after Lambda froze the instance.
 */
const FAILURE_MILLISECONDS = 3_000;

/** Minimum time between two fetches that no request waits for. */
const BACKGROUND_INTERVAL_MILLISECONDS = 10_000;

/** In each period an unknown key id triggers one fetch of the set, for at most this many ids. */
const UNKNOWN_KEYS_PERIOD_MILLISECONDS = 30_000;
const UNKNOWN_KEYS_PER_PERIOD = 10;

type KeySet = {
  readonly find: ReturnType<typeof createLocalJWKSet>;
  /** When Supabase made this answer, in seconds since 1970 by Supabase's own clock. */
  readonly madeAtSeconds: number;
  readonly fetchedAt: number;
  readonly lifetimeMilliseconds: number;
};

/**
 * The public keys that verify a Supabase project's user tokens.
 *
 * Keeps the set for as long as `Cache-Control` and `Age` allow, at most ten minutes, so that a revoked key stops working.
 * After half of that time a lookup fetches the set again without waiting for it. An unknown key id triggers a fetch, once
 * within 30 seconds and for at most ten such ids, so that made-up ids neither cost many calls
 * nor keep a new key out.
 *
 * @see https://supabase.com/docs/guides/auth/signing-keys
 */
export class SupabaseSigningKeys {
  readonly #requests: HttpRequests;
  readonly #timeoutMilliseconds: number;
  #known: KeySet | null = null;
  #lastFetchAt = Number.NEGATIVE_INFINITY;
  #lastFailure: { readonly askedAt: number; readonly error: unknown } | null = null;
  #unknownKeyIds = new Set<string>();
  #periodEndsAt = Number.NEGATIVE_INFINITY;

  constructor(supabaseUrl: URL, { timeoutMilliseconds = 2_000 } = {}) {
    this.#requests = new HttpRequests(supabaseUrl, {
      longestBodyBytes: LONGEST_BODY_BYTES,
      isLenient: false,
    });
    this.#timeoutMilliseconds = timeoutMilliseconds;
  }

  /**
   * Finds the key that a token's header names; jose's key resolver. Rejects with an {@link OperationalError}
   * (`KEY_SET_UNAVAILABLE`) if no set is known and none can be fetched, and with jose's `JWKSNoMatchingKey`.
   */
  readonly find = async (header: JWSHeaderParameters, token: FlattenedJWSInput) => {
    const kept = this.#known;
    const keySet = await this.#current();
    try {
      return await keySet.find(header, token);
    } catch (error) {
      // A newly fetched set is not fetched again.
      const isKept = keySet === kept;
      if (isKept && error instanceof errors.JWKSNoMatchingKey && this.#mayLookFor(String(header.kid))) {
        return (await this.load()).find(header, token);
      }
      throw error;
    }
  };

  /** Whether a key that signed something at this time (seconds since 1970) may be newer than the known set. */
  mayHaveMissed(issuedAtSeconds: number): boolean {
    return this.#known === null || issuedAtSeconds > this.#known.madeAtSeconds;
  }

  /** Fetches the set, and keeps it. Rejects with an {@link OperationalError} (`KEY_SET_UNAVAILABLE`). */
  async load(): Promise<KeySet> {
    const askedAt = Date.now();
    this.#lastFetchAt = askedAt;
    if (this.#lastFailure !== null && askedAt - this.#lastFailure.askedAt < FAILURE_MILLISECONDS) {
      throw this.#lastFailure.error;
    }
    const keySet = await this.#request(askedAt).catch((error: unknown) => {
      this.#lastFailure = { askedAt, error };
      throw error;
    });
    this.#lastFailure = null;
    if (this.#known === null || keySet.madeAtSeconds >= this.#known.madeAtSeconds) {
      this.#known = keySet;
    }
    return keySet;
  }

  async #current(): Promise<KeySet> {
    const known = this.#known;
    const age = known === null ? Number.POSITIVE_INFINITY : Date.now() - known.fetchedAt;
    if (known === null || age >= known.lifetimeMilliseconds) {
      // Not a pending fetch: it may have begun before Lambda froze the instance.
      return this.load();
    }
    const isIdle = Date.now() - this.#lastFetchAt >= BACKGROUND_INTERVAL_MILLISECONDS;
    if (age >= known.lifetimeMilliseconds / 2 && isIdle) {
      this.load().catch(() => {
        // The known set is used until its time is over; then the failure is reported.
      });
    }
    return known;
  }

  #mayLookFor(keyId: string): boolean {
    const now = Date.now();
    if (now >= this.#periodEndsAt) {
      this.#unknownKeyIds.clear();
      this.#periodEndsAt = now + UNKNOWN_KEYS_PERIOD_MILLISECONDS;
    }
    if (this.#unknownKeyIds.has(keyId) || this.#unknownKeyIds.size >= UNKNOWN_KEYS_PER_PERIOD) {
      return false;
    }
    this.#unknownKeyIds.add(keyId);
    return true;
  }

  async #request(askedAt: number): Promise<KeySet> {
    const { status, headers, text, failure } = await this.#requests.send(REQUEST, this.#timeoutMilliseconds);
    if (failure !== null || status !== 200) {
      throw explain(failure === null ? `status ${status}` : describeFailedRequest(failure), failure);
    }
    try {
      return { find: createLocalJWKSet(JSON.parse(text)), fetchedAt: askedAt, ...readAge(headers) };
    } catch (error) {
      throw explain('no key set', error);
    }
  }
}

function explain(reason: string, cause: unknown): OperationalError {
  const message = `Supabase's signing keys could not be fetched: ${reason}`;
  return new OperationalError('KEY_SET_UNAVAILABLE', message, { cause });
}

/** The age of an answer and how long it may be kept (RFC 9111, sections 4.2 and 5.1). */
function readAge(headers: IncomingHttpHeaders): Pick<KeySet, 'madeAtSeconds' | 'lifetimeMilliseconds'> {
  const ageSeconds = Number(/^\d{1,9}$/.exec(headers.age ?? '')?.[0] ?? 0);
  const maxAge = /(?:^|[\s,])max-age=(\d{1,9})/i.exec(headers['cache-control'] ?? '')?.[1];
  const sentAt = Date.parse(headers.date ?? '');
  const longest = maxAge === undefined ? Number.POSITIVE_INFINITY : Number(maxAge) * 1_000;
  const isToBeKept = !/\bno-(?:store|cache)\b/i.test(headers['cache-control'] ?? '');
  const left = isToBeKept ? Math.min(LONGEST_LIFETIME_MILLISECONDS, longest) - ageSeconds * 1_000 : 0;
  return {
    madeAtSeconds: (Number.isNaN(sentAt) ? Date.now() : sentAt) / 1_000 - ageSeconds,
    lifetimeMilliseconds: Math.max(SHORTEST_LIFETIME_MILLISECONDS, left),
  };
}
