import type { Lease } from '../../../lambda/connection/lease.ts';

/** A lease on a connection that expires in a minute, which lasts for as long as any test does. */
export function aLease(overrides: Partial<Lease> = {}): Lease {
  leasesMade += 1;
  return {
    userId: `user-${leasesMade}`,
    leaseId: `lease-${leasesMade}`,
    leasedAt: '2026-11-24T12:00:00+00:00',
    refreshToken: `stored-refresh-token-${leasesMade}`,
    secondsLeft: 60,
    failures: 0,
    lapsesAt: Number.MAX_SAFE_INTEGER,
    ...overrides,
  };
}

let leasesMade = 0;
