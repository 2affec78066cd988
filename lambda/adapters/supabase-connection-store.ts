import * as v from 'valibot';
import type { Clock } from '../connection/clock.ts';
import type {
  ClaimedBatch,
  ClaimRequest,
  ConnectionCheck,
  ConnectionStore,
  Recorded,
  Refusal,
} from '../connection/connection-store.ts';
import type { Lease } from '../connection/lease.ts';
import type { SettledLease } from '../connection/refresh-outcome.ts';
import type { SupabaseFunctions } from './supabase-functions.ts';

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
  v.object({
    state: v.picklist(['busy', 'backing_off']),
    ...DetailsRow,
    retry_in: v.nullable(v.number()),
    revoked: v.boolean(),
  }),
  v.object({ state: v.picklist(['connected', 'reauthorization_required']), ...DetailsRow }),
]);

const ClaimedRow = v.object({
  claims: v.array(LeaseRow),
  next_claim_in: v.nullable(v.number()),
  calls_start_in: v.number(),
  due_up_to: v.nullable(v.string()),
  not_before_in: v.nullable(v.number()),
});

const RefusalRow = { user_id: v.string(), code: v.string(), constraint: v.nullable(v.string()) };

const RecordedRow = v.object({
  verdicts: v.array(
    v.variant('verdict', [
      v.object({
        lease_id: v.string(),
        verdict: v.picklist(['applied', 'held', 'confirmed', 'already_applied', 'stale', 'busy']),
      }),
      v.object({ lease_id: v.string(), verdict: v.literal('refused'), ...RefusalRow }),
    ]),
  ),
  not_before_in: v.nullable(v.number()),
  breaker_is_open: v.boolean(),
});

const ClearedRow = v.object({
  cleared: v.number(),
  refused: v.array(v.object(RefusalRow)),
  done: v.boolean(),
});

const ReconciledRow = v.object({ healed: v.number(), done: v.boolean() });

/** Connections in Bondhu's Supabase project, through the functions of `supabase/migrations`. */
export class SupabaseConnectionStore implements ConnectionStore {
  readonly #functions: SupabaseFunctions;
  readonly #clock: Clock;

  constructor(functions: SupabaseFunctions, clock: Clock) {
    this.#functions = functions;
    this.#clock = clock;
  }

  async check(
    userId: string,
    refreshWithinSeconds: number | null,
    leaseSeconds: number,
    timeoutMilliseconds: number,
  ): Promise<ConnectionCheck> {
    const lapsesAt = this.#clock.monotonicMilliseconds() + leaseSeconds * 1_000;
    const row = await this.#functions.call('spotify_check_connection', CheckRow, timeoutMilliseconds, {
      for_user: userId,
      refresh_within: refreshWithinSeconds === null ? null : toInterval(refreshWithinSeconds),
      lease: toInterval(leaseSeconds),
    });
    if (row.state === 'disconnected') {
      return { state: row.state };
    }
    if (row.state === 'locked') {
      return { state: 'busy', details: null, retryInSeconds: 0, isRevoked: false };
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
        return { state: row.state, details, lease: toLease(row.lease, lapsesAt) };
      case 'busy':
      case 'backing_off':
        return { state: row.state, details, retryInSeconds: row.retry_in ?? 0, isRevoked: row.revoked };
      default:
        return { state: row.state, details };
    }
  }

  async claimDue(request: ClaimRequest, timeoutMilliseconds: number): Promise<ClaimedBatch> {
    const lapsesAt = this.#clock.monotonicMilliseconds() + request.leaseSeconds * 1_000;
    const row = await this.#functions.call('spotify_claim_due', ClaimedRow, timeoutMilliseconds, {
      batch_size: request.batchSize,
      refresh_within: toInterval(request.refreshWithinSeconds),
      lease: toInterval(request.leaseSeconds),
      sweep_age: toInterval(request.sweepAgeSeconds),
      calls_per_second: request.callsPerSecond,
      due_from: request.dueFrom,
    });
    return {
      leases: row.claims.map((claim) => toLease(claim, lapsesAt)),
      nextClaimInSeconds: row.next_claim_in,
      callsStartInSeconds: row.calls_start_in,
      dueUpTo: row.due_up_to,
      notBeforeInSeconds: row.not_before_in,
    };
  }

  async record(settled: readonly SettledLease[], timeoutMilliseconds: number): Promise<Recorded> {
    const row = await this.#functions.call('spotify_record', RecordedRow, timeoutMilliseconds, {
      results: settled.map(toResult),
    });
    return {
      verdicts: new Map(row.verdicts.map(({ lease_id, verdict }) => [lease_id, verdict])),
      refusals: row.verdicts.flatMap((each) => (each.verdict === 'refused' ? [toRefusal(each)] : [])),
      notBeforeInSeconds: row.not_before_in,
      breakerIsOpen: row.breaker_is_open,
    };
  }

  async countDue(refreshWithinSeconds: number, timeoutMilliseconds: number): Promise<number> {
    return this.#functions.call('spotify_due_count', v.number(), timeoutMilliseconds, {
      refresh_within: toInterval(refreshWithinSeconds),
    });
  }

  async reconcile(
    batchSize: number,
    timeoutMilliseconds: number,
  ): Promise<{ healed: number; done: boolean }> {
    return this.#functions.call('spotify_reconcile', ReconciledRow, timeoutMilliseconds, {
      batch_size: batchSize,
    });
  }

  async clearDeadGrants(
    graceSeconds: number,
    batchSize: number,
    timeoutMilliseconds: number,
  ): Promise<{ cleared: number; refusals: Refusal[]; done: boolean }> {
    const row = await this.#functions.call('spotify_clear_dead_grants', ClearedRow, timeoutMilliseconds, {
      grace: toInterval(graceSeconds),
      batch_size: batchSize,
    });
    return { cleared: row.cleared, refusals: row.refused.map(toRefusal), done: row.done };
  }
}

/** An interval in PostgreSQL's format: in milliseconds, because PostgreSQL does not read exponents. */
function toInterval(seconds: number): string {
  return `${Number(seconds.toFixed(3))} seconds`;
}

function toRefusal(row: {
  readonly user_id: string;
  readonly code: string;
  readonly constraint: string | null;
}): Refusal {
  return { userId: row.user_id, code: row.code, constraint: row.constraint };
}

function toLease(row: v.InferOutput<typeof LeaseRow>, lapsesAt: number): Lease {
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

function toResult({ lease, outcome }: SettledLease) {
  return {
    user_id: lease.userId,
    lease_id: lease.leaseId,
    leased_at: lease.leasedAt,
    outcome: outcome.kind,
    ...(['refreshed', 'refresh_token_only', 'revoked'].includes(outcome.kind) && {
      used_refresh_token: lease.refreshToken,
    }),
    ...('refreshToken' in outcome && { refresh_token: outcome.refreshToken }),
    ...(outcome.kind === 'refreshed' && {
      access_token: outcome.accessToken,
      expires_in: outcome.expiresInSeconds,
    }),
    ...('retryAfterSeconds' in outcome && { retry_after: outcome.retryAfterSeconds }),
    ...(outcome.kind === 'revoked' && { reason: outcome.reason }),
  };
}
