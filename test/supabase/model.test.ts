/** Leases, fencing, marks and outside writes: the model that the use cases are tested on does what the SQL does. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { RefreshOutcome } from '../../lambda/connection/refresh-outcome.ts';
import { ComparedStores, commandOf, type LeasePair } from './compared-stores.ts';

const USERS = 2;
const WINDOW = 2_400;
const MARGIN = 300;
const SWEEP_LEASE = 300;
const STATUS_LEASE = 15;
const BACKOFF = 60;
const GRACE = 60;

const revoked = { kind: 'revoked', reason: 'revoked', retryAfterSeconds: BACKOFF } as const;

type Act = (stores: ComparedStores) => Promise<void>;

/** What has to have happened, or this would prove nothing. */
const EVENTS = [
  'check: disconnected',
  'check: connected',
  'check: leased',
  'check: busy',
  'check: backing_off',
  'check: reauthorization_required',
  'claim: true',
  'claim: false',
  'claim: not before',
  'record: already_applied',
  'record: busy',
  'record: confirmed',
  'record: applied',
  'record: stale',
  'late: refreshed applied',
  'due: 1',
  'due: 2',
  'cleared',
  'restored',
  'change: authorized',
  'change: reconnected',
  'change: incomplete',
  'change: refreshed',
  'change: revoked',
  'change: recovered',
  'change: restored',
  'change: cleared',
  'change: disconnected',
];

let stores: ComparedStores;
let users: string[];

beforeAll(async () => {
  stores = await ComparedStores.start();
});
afterAll(() => stores.stop());

const expiry = fc.constantFrom(60, 1_200, 7_200);
const user = fc.nat(USERS - 1);

const check = user.map((index) =>
  named(`check ${index}`, (both) => both.check(users[index] ?? '', MARGIN, STATUS_LEASE)),
);

const claim = fc.constant(named('claim', (both) => both.claimDue(WINDOW, SWEEP_LEASE)));

const outcome = fc
  .record({
    kind: fc.oneof(
      fc.constantFrom<RefreshOutcome['kind']>('refreshed'),
      fc.constantFrom<RefreshOutcome['kind']>('refreshed', 'revoked', 'refresh_token_only'),
      fc.constantFrom<RefreshOutcome['kind']>(
        'throttled',
        'client_rejected',
        'unavailable',
        'rejected',
        'released',
      ),
    ),
    brings: fc.constantFrom(
      'no refresh token',
      'the same refresh token',
      'a new refresh token',
      'a new refresh token',
    ),
    expiresInSeconds: expiry,
  })
  .map(({ kind, brings, expiresInSeconds }) => ({
    name: `${kind} with ${brings}, ${expiresInSeconds} s`,
    of: (lease: LeasePair) => outcomeOf(kind, brings, expiresInSeconds, lease),
  }));

const record = fc.tuple(fc.nat(3), outcome).map(([age, { name, of }]) =>
  named(`record lease -${age}: ${name}`, async (both) => {
    const lease = both.leases.at(-1 - age);
    if (lease === undefined) return;
    await both.record([{ lease, outcome: of(lease) }]);
  }),
);

const refresh = fc
  .tuple(user, outcome)
  .map(([index, { name, of }]) =>
    named(`refresh ${index}: ${name}`, (both) => refreshOne(both, users[index] ?? '', of)),
  );

/** A process that was suspended records its outcome when another one holds the lease. */
const recordLate = fc.tuple(user, outcome).map(([index, { name, of }]) =>
  named(`record late for ${index}: ${name}`, async (both) => {
    const leases = both.leases.length;
    await both.check(users[index] ?? '', MARGIN, STATUS_LEASE);
    await both.letTimePass(STATUS_LEASE);
    await both.check(users[index] ?? '', MARGIN, STATUS_LEASE);
    const late = both.leases[leases];
    if (late === undefined) return;
    const { verdicts } = await both.record([{ lease: late, outcome: of(late) }]);
    both.seen.add(`late: ${of(late).kind} ${verdicts[0]}`);
  }),
);

/** A grant is marked, the mark verified, and its tokens removed or the mark undone, unless something interferes. */
const refuseTwice = fc.tuple(user, fc.constantFrom('left', 'cleared', 'restored')).map(([index, end]) =>
  named(`${index} is refused twice and ${end}`, async (both) => {
    await refreshOne(both, users[index] ?? '', () => revoked);
    await both.letTimePass(GRACE);
    await refreshOne(both, users[index] ?? '', () => revoked);
    if (end === 'cleared') await both.clearDeadGrants(GRACE);
    if (end === 'restored') await both.restore();
  }),
);

const write = fc
  .record({
    user,
    accessToken: fc.constantFrom('access', 'access', null),
    // undefined: the one that is stored.
    refresh: fc.constantFrom('first', 'first', 'second', null, undefined),
    expiresInSeconds: fc.oneof(expiry, fc.constant(null)),
  })
  .map(({ user: index, accessToken, refresh, expiresInSeconds }) =>
    named(`write ${index}: ${accessToken}, ${refresh}, ${expiresInSeconds} s`, (both) =>
      both.write(users[index] ?? '', {
        accessToken,
        ...(refresh !== undefined && { refreshToken: refresh && tokenOf(index, refresh) }),
        expiresInSeconds,
        connectedSecondsAgo: 0,
      }),
    ),
  );

const whileLocked = fc
  .tuple(user, fc.oneof(check, claim, record))
  .map(([index, act]) =>
    named(`while ${index} is locked: ${act.name}`, (both) =>
      both.whileLocked(users[index] ?? '', () => act(both)),
    ),
  );

const letTimePass = fc
  .constantFrom(10, 30, 60, 300, 3_000, 90_000)
  .map((seconds) => named(`let ${seconds} s pass`, (both) => both.letTimePass(seconds)));

const command = fc
  .oneof(
    { weight: 6, arbitrary: check },
    { weight: 6, arbitrary: claim },
    { weight: 8, arbitrary: record },
    { weight: 6, arbitrary: refresh },
    { weight: 3, arbitrary: recordLate },
    { weight: 4, arbitrary: refuseTwice },
    { weight: 4, arbitrary: write },
    { weight: 6, arbitrary: letTimePass },
    { weight: 4, arbitrary: whileLocked },
    { weight: 2, arbitrary: fc.constant(named('count what is due', (both) => both.countDue(WINDOW))) },
    { weight: 4, arbitrary: fc.constant(named('clear dead grants', (both) => both.clearDeadGrants(GRACE))) },
    { weight: 2, arbitrary: fc.constant(named('restore marks', (both) => both.restore())) },
  )
  .map((act) => commandOf(act.name, act));

// Without bias, which makes most sequences so short that nothing happens in them.
const commands = fc.noBias(fc.commands([command], { maxCommands: 40, size: 'max' }));

test('the model and the SQL agree, in any order', async () => {
  await fc.assert(
    fc.asyncProperty(commands, async (sequence) => {
      await stores.clear();
      users = Array.from({ length: USERS }, () => randomUUID());
      for (const [index, userId] of users.entries()) {
        const refreshToken = tokenOf(index, 'first');
        await stores.connect(userId, { accessToken: 'access', refreshToken, expiresInSeconds: 60 });
      }
      await fc.asyncModelRun(() => ({ model: {}, real: stores }), sequence);
    }),
    { numRuns: 120 },
  );
  expect(EVENTS.filter((event) => !stores.seen.has(event))).toEqual([]);
});

/** All that a status call does. */
async function refreshOne(
  both: ComparedStores,
  userId: string,
  outcomeFor: (lease: LeasePair) => RefreshOutcome,
): Promise<void> {
  const leases = both.leases.length;
  await both.check(userId, MARGIN, STATUS_LEASE);
  const lease = both.leases[leases];
  if (lease !== undefined) await both.record([{ lease, outcome: outcomeFor(lease) }]);
}

function named(name: string, act: Act): Act {
  return Object.defineProperty(act, 'name', { value: name });
}

/** No two users ever have the same. */
function tokenOf(index: number, name: string): string {
  return `refresh-${name}-of-${index}`;
}

function outcomeOf(
  kind: RefreshOutcome['kind'],
  brings: string,
  expiresInSeconds: number,
  { sql: { leaseId, refreshToken } }: LeasePair,
): RefreshOutcome {
  const newToken = brings === 'the same refresh token' ? refreshToken : `refresh-by-${leaseId}`;
  switch (kind) {
    case 'refreshed': {
      const accessToken = `access-by-${leaseId}`;
      return {
        kind,
        accessToken,
        expiresInSeconds,
        ...(brings !== 'no refresh token' && { refreshToken: newToken }),
      };
    }
    case 'refresh_token_only':
      return { kind, refreshToken: newToken, retryAfterSeconds: BACKOFF };
    case 'revoked':
      return revoked;
    case 'throttled':
    case 'unavailable':
    case 'rejected':
      return { kind, retryAfterSeconds: BACKOFF };
    default:
      return { kind };
  }
}
