import type { RefreshOutcome } from '../../../lambda/connection/refresh-outcome.ts';
import type { Rotation } from '../../../lambda/connection/rescue-queue.ts';
import { aLease } from './leases.ts';

/** A success that brought a new refresh token, for a connection of its own unless the test says whose. */
export function aRotation(
  lease = aLease(),
): Rotation & { readonly outcome: Extract<RefreshOutcome, { kind: 'refreshed' }> } {
  return {
    lease: {
      userId: lease.userId,
      leaseId: lease.leaseId,
      leasedAt: lease.leasedAt,
      refreshToken: lease.refreshToken,
    },
    outcome: {
      kind: 'refreshed',
      accessToken: `new-access-token-for-${lease.leaseId}`,
      refreshToken: `new-refresh-token-for-${lease.leaseId}`,
      expiresInSeconds: 3_600,
    },
  };
}
