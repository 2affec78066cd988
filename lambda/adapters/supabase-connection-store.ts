import { PostgrestClient } from '@supabase/postgrest-js';
import * as v from 'valibot';
import type { Clock } from '../connection/clock.ts';
import {
  type ClaimedBatch,
  type ClaimRequest,
  type ConnectionCheck,
  type ConnectionStore,
  type Recorded,
  StoreError,
  type StoreErrorCode,
} from '../connection/connection-store.ts';
import type { Lease } from '../connection/lease.ts';
import type { Metrics } from '../connection/metrics.ts';
import type { SettledLease } from '../connection/refresh-outcome.ts';
import type { Secret, SupabaseCredentials } from './secret.ts';

const Instant = v.pipe(
  v.string(),
  v.isoTimestamp(),
  v.transform((text) => new Date(text).toISOString()),
);

const LeaseRow = v.object({
  user_id: v.string(),
  lease_id: v.string(),
  leased_at: v.string(),
  refresh_token: v.string(),
  seconds_left: v.nullable(v.number()),
  failures: v.number(),
});

const DetailsRow = {
  spotify_user_id: v.nullable(v.string()),
  spotify_user_email: v.nullable(v.string()),
  connected_at: v.nullable(Instant),
  expires_at: v.nullable(Instant),
  reauthorize_by: v.nullable(Instant),
  seconds_left: v.nullable(v.number()),
};

const CheckRow = v.variant('state', [
  v.object({ state: v.literal('disconnected') }),
  v.object({ state: v.literal('locked') }),
  v.object({ state: v.literal('leased'), ...DetailsRow, lease: LeaseRow }),
  v.object({ state: v.picklist(['busy', 'backing_off']), ...DetailsRow, retry_in: v.nullable(v.number()) }),
  v.object({ state: v.picklist(['connected', 'reauthorization_required']), ...DetailsRow }),
]);

const ClaimedRow = v.object({
  claims: v.array(LeaseRow),
  next_claim_in: v.nullable(v.number()),
  calls_start_in: v.number(),
  not_before_in: v.nullable(v.number()),
});

const RecordedRow = v.object({
  verdicts: v.array(
    v.object({
      lease_id: v.string(),
      verdict: v.picklist(['applied', 'held', 'already_applied', 'stale', 'busy']),
    }),
  ),
  not_before_in: v.nullable(v.number()),
  breaker_is_open: v.boolean(),
});

const ReconciledRow = v.object({ healed: v.number(), done: v.boolean() });

/** Connections in Bondhu's Supabase project, through the functions of `supabase/migrations`. */
export class SupabaseConnectionStore implements ConnectionStore {
  readonly #url: URL;
  readonly #secret: Secret<SupabaseCredentials>;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  #client: { readonly credentials: SupabaseCredentials; readonly rest: PostgrestClient } | null = null;

  constructor(url: URL, secret: Secret<SupabaseCredentials>, clock: Clock, metrics: Metrics) {
    this.#url = url;
    this.#secret = secret;
    this.#clock = clock;
    this.#metrics = metrics;
  }

  async check(
    userId: string,
    refreshWithinSeconds: number,
    leaseSeconds: number,
    timeoutMilliseconds: number,
  ): Promise<ConnectionCheck> {
    const lapsesAt = this.#clock.monotonicMilliseconds() + leaseSeconds * 1_000;
    const row = await this.#call('spotify_check_connection', CheckRow, timeoutMilliseconds, {
      for_user: userId,
      refresh_within: interval(refreshWithinSeconds),
      lease: interval(leaseSeconds),
    });
    if (row.state === 'disconnected') {
      return { state: row.state };
    }
    if (row.state === 'locked') {
      return { state: 'busy', details: null, retryInSeconds: 0 };
    }
    const details = {
      spotifyUserId: row.spotify_user_id,
      spotifyUserEmail: row.spotify_user_email,
      connectedAt: row.connected_at,
      expiresAt: row.expires_at,
      reauthorizeBy: row.reauthorize_by,
      secondsLeft: row.seconds_left,
    };
    switch (row.state) {
      case 'leased':
        return { state: row.state, details, lease: leaseOf(row.lease, lapsesAt) };
      case 'busy':
      case 'backing_off':
        return { state: row.state, details, retryInSeconds: row.retry_in ?? 0 };
      default:
        return { state: row.state, details };
    }
  }

  async claimDue(request: ClaimRequest, timeoutMilliseconds: number): Promise<ClaimedBatch> {
    const lapsesAt = this.#clock.monotonicMilliseconds() + request.leaseSeconds * 1_000;
    const row = await this.#call('spotify_claim_due', ClaimedRow, timeoutMilliseconds, {
      batch_size: request.batchSize,
      refresh_within: interval(request.refreshWithinSeconds),
      lease: interval(request.leaseSeconds),
      sweep_age: interval(request.sweepAgeSeconds),
      calls_per_second: request.callsPerSecond,
    });
    return {
      leases: row.claims.map((claim) => leaseOf(claim, lapsesAt)),
      nextClaimInSeconds: row.next_claim_in,
      callsStartInSeconds: row.calls_start_in,
      notBeforeInSeconds: row.not_before_in,
    };
  }

  async record(settled: readonly SettledLease[], timeoutMilliseconds: number): Promise<Recorded> {
    const row = await this.#call('spotify_record', RecordedRow, timeoutMilliseconds, {
      results: settled.map(resultOf),
    });
    return {
      verdicts: new Map(row.verdicts.map(({ lease_id, verdict }) => [lease_id, verdict])),
      notBeforeInSeconds: row.not_before_in,
      breakerIsOpen: row.breaker_is_open,
    };
  }

  async countDue(refreshWithinSeconds: number, timeoutMilliseconds: number): Promise<number> {
    return this.#call('spotify_due_count', v.number(), timeoutMilliseconds, {
      refresh_within: interval(refreshWithinSeconds),
    });
  }

  async reconcile(
    batchSize: number,
    timeoutMilliseconds: number,
  ): Promise<{ healed: number; done: boolean }> {
    return this.#call('spotify_reconcile', ReconciledRow, timeoutMilliseconds, { batch_size: batchSize });
  }

  async clearDeadGrants(
    graceSeconds: number,
    batchSize: number,
    timeoutMilliseconds: number,
  ): Promise<number> {
    return this.#call('spotify_clear_dead_grants', v.number(), timeoutMilliseconds, {
      grace: interval(graceSeconds),
      batch_size: batchSize,
    });
  }

  /** Calls a function; with a freshly read key once more when the present one is rejected. */
  async #call<Row>(
    name: string,
    schema: v.GenericSchema<unknown, Row>,
    timeoutMilliseconds: number,
    parameters: Readonly<Record<string, unknown>>,
  ): Promise<Row> {
    const signal = AbortSignal.timeout(timeoutMilliseconds);
    const credentials = await this.#secret.read();
    try {
      return await this.#callWith(credentials, name, schema, signal, parameters);
    } catch (error) {
      const newer = isKeyRejected(error) ? await this.#secret.renew(credentials) : credentials;
      if (newer === credentials) {
        throw this.#counted(error);
      }
      return await this.#callWith(newer, name, schema, signal, parameters).catch((again) => {
        throw this.#counted(again);
      });
    }
  }

  #counted(error: unknown): unknown {
    if (isKeyRejected(error)) {
      this.#metrics.add({ storeRejected: 1 });
    }
    return error;
  }

  async #callWith<Row>(
    credentials: SupabaseCredentials,
    name: string,
    schema: v.GenericSchema<unknown, Row>,
    signal: AbortSignal,
    parameters: Readonly<Record<string, unknown>>,
  ): Promise<Row> {
    const { data, error, status } = await this.#clientFor(credentials)
      .rpc(name, parameters)
      .retry(false)
      .abortSignal(signal);
    if (error !== null) {
      throw failureOf(name, status, error.code);
    }
    const parsed = v.safeParse(schema, data);
    if (!parsed.success) {
      const where = parsed.issues.map((issue) => v.getDotPath(issue) ?? 'the answer').join(', ');
      throw new StoreError('STORE_REFUSED', `${name} answered with something unexpected at ${where}`);
    }
    return parsed.output;
  }

  #clientFor(credentials: SupabaseCredentials): PostgrestClient {
    if (this.#client?.credentials !== credentials) {
      const rest = new PostgrestClient(new URL('/rest/v1', this.#url).href, {
        headers: headersOf(credentials.secret_key),
      });
      this.#client = { credentials, rest };
    }
    return this.#client.rest;
  }
}

/** As supabase-js does it: a legacy service_role key is a JWT and also says so, a secret key must not pose as one. */
function headersOf(secretKey: string): Record<string, string> {
  const isLegacyKey = !secretKey.startsWith('sb_');
  return { apikey: secretKey, ...(isLegacyKey && { authorization: `Bearer ${secretKey}` }) };
}

function isKeyRejected(error: unknown): boolean {
  return error instanceof StoreError && error.code === 'KEY_REJECTED';
}

/** An interval as Postgres reads it: to the millisecond, for it does not read an exponent. */
function interval(seconds: number): string {
  return `${Number(seconds.toFixed(3))} seconds`;
}

function leaseOf(row: v.InferOutput<typeof LeaseRow>, lapsesAt: number): Lease {
  return {
    userId: row.user_id,
    leaseId: row.lease_id,
    leasedAt: row.leased_at,
    refreshToken: row.refresh_token,
    secondsLeft: row.seconds_left,
    failures: row.failures,
    lapsesAt,
  };
}

function resultOf({ lease, outcome }: SettledLease) {
  return {
    user_id: lease.userId,
    lease_id: lease.leaseId,
    leased_at: lease.leasedAt,
    outcome: outcome.kind,
    ...(['refreshed', 'rotated', 'revoked'].includes(outcome.kind) && {
      used_refresh_token: lease.refreshToken,
    }),
    ...('refreshToken' in outcome && { refresh_token: outcome.refreshToken }),
    ...(outcome.kind === 'refreshed' && {
      access_token: outcome.accessToken,
      expires_in: outcome.expiresInSeconds,
    }),
    ...('retryAfterSeconds' in outcome && { retry_after: outcome.retryAfterSeconds }),
  };
}

/** PostgREST's and Postgres' codes; messages may quote values and are left out. */
function failureOf(name: string, status: number, sqlState: string): StoreError {
  const code = codeOf(status, sqlState);
  const advice: Record<StoreErrorCode, string> = {
    STORE_UNAVAILABLE: 'Supabase did not answer or failed for now',
    MIGRATION_MISSING: 'the database does not know the function: apply the migrations of supabase/migrations',
    KEY_REJECTED: "Supabase rejects the secret key: write the project's present key into the Supabase secret",
    STORE_REFUSED: 'Supabase refused the call',
  };
  return new StoreError(code, `${name}: ${advice[code]} (status ${status}, code ${sqlState || 'none'})`);
}

function codeOf(status: number, sqlState: string): StoreErrorCode {
  if (sqlState === 'PGRST202' || sqlState === '42883') {
    return 'MIGRATION_MISSING';
  }
  if (status === 401 || status === 403 || sqlState === '42501') {
    return 'KEY_REJECTED';
  }
  // An error without an error status is an answer that PostgREST did not give, or none at all.
  // Class 40: deadlocks and serialization failures. 57014: statement timeout. 55P03: lock timeout. 25006: read only.
  if (status < 400 || status === 429 || status >= 500 || /^(40|53|57|55P03|25006)/.test(sqlState)) {
    return 'STORE_UNAVAILABLE';
  }
  return 'STORE_REFUSED';
}
