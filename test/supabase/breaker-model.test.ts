/** The revocation breaker: the model that the use cases are tested on does what the SQL does. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { RefreshOutcome } from '../../lambda/connection/refresh-outcome.ts';
import type { State } from '../lambda/contract/stores.ts';
import { ComparedStores, commandOf } from './compared-stores.ts';

const USERS = 8;
/** One of them authorized so long ago that Spotify's six months may be over. */
const OLD_USER = 0;
/** One of them this system has never refreshed. */
const UNKNOWN_USER = 1;

const WINDOW = 2_400;
const MARGIN = 300;
const SWEEP_LEASE = 300;
const STATUS_LEASE = 15;
const BACKOFF = 60;
const DAY = 86_400;
const GRACE = DAY;

/** 4 % of these are one, four and eight connections; 1 % is never more than five. */
const POPULATIONS = [8, 100, 200];

/** Time only passes in steps like these: no sum of them comes near one of the moments that the rules know. */
const SHORTEST_STEP = 420;
const LONGEST_STEP = 90_000;
const STEPS = [SHORTEST_STEP, 1_000, 1_000, LONGEST_STEP];

type Outcome = 'refreshed' | 'revoked' | 'unavailable';

/** What has to have happened, or this would prove nothing. */
const EVENTS = [
  'record: held',
  'record: confirmed',
  'record: busy',
  'opened',
  'closed',
  'undone',
  'believed after all',
  'believed after closing',
  'nearly all refused',
  'cleared',
  'restored',
  'change: held',
];

let stores: ComparedStores;
let users: string[];
let breakerIsOpen: boolean;

beforeAll(async () => {
  stores = await ComparedStores.start();
});
afterAll(() => stores.stop());

const user = fc.nat(USERS - 1);
const outcome = fc.constantFrom<Outcome>(
  'refreshed',
  'revoked',
  'revoked',
  'revoked',
  'revoked',
  'unavailable',
);
const outcomes = fc
  .uniqueArray(fc.tuple(user, outcome), { minLength: 1, maxLength: USERS, selector: ([index]) => index })
  .map((pairs) => new Map(pairs));

const claim = fc.constant(command('claim', () => stores.claimDue(WINDOW, SWEEP_LEASE)));

const record = fc
  .tuple(outcomes, fc.option(user, { freq: 8 }))
  .map(([batch, locked]) =>
    command(
      `record ${[...batch].map(([index, each]) => `${index} ${each}`).join(', ')}; locked: ${locked}`,
      () =>
        locked === null
          ? recordOutcomes(batch)
          : stores.whileLocked(users[locked] ?? '', () => recordOutcomes(batch)),
    ),
  );

/** A while later, a sweep that claims all that are due, and finds all or a few of them refused, or none. */
const sweep = fc
  .constantFrom(USERS, USERS, 2, 2, 0)
  .map((refused) => command(`sweep: ${refused} refused`, () => sweepOnce(refused)));

/** Refused until they are believed, unless the breaker has closed by then. */
const staysRefused = fc.constantFrom(2, USERS).map((refused) =>
  command(`sweeps: all refused, and ${refused} still a day later`, async () => {
    await sweepOnce(USERS);
    await stores.letTimePass(LONGEST_STEP);
    await sweepOnce(refused);
  }),
);

const check = user.map((index) =>
  command(`check ${index}`, () => stores.check(users[index] ?? '', MARGIN, STATUS_LEASE)),
);

const reconnect = user.map((index) =>
  command(`${index} reconnects`, () =>
    stores.write(users[index] ?? '', {
      accessToken: randomUUID(),
      refreshToken: `refresh-of-${index}`,
      expiresInSeconds: 60,
    }),
  ),
);

const letTimePass = fc
  .constantFrom(...STEPS)
  .map((seconds) => command(`let ${seconds} s pass`, () => stores.letTimePass(seconds)));

const commands = fc.commands(
  [
    fc.oneof(
      { weight: 3, arbitrary: claim },
      { weight: 6, arbitrary: record },
      { weight: 12, arbitrary: sweep },
      { weight: 1, arbitrary: staysRefused },
      { weight: 4, arbitrary: reconnect },
      { weight: 5, arbitrary: letTimePass },
      { weight: 1, arbitrary: check },
      {
        weight: 6,
        arbitrary: fc.constant(command('clear dead grants', () => stores.clearDeadGrants(GRACE))),
      },
      { weight: 2, arbitrary: fc.constant(command('restore marks', () => stores.restore())) },
    ),
  ],
  { maxCommands: 60, size: 'max' },
);

test('opening, holding, undoing, believing after all, verifying and closing are the same, in any order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...POPULATIONS),
      fc.constantFrom(0, 1_000, 1_000),
      commands,
      async (population, refreshes, sequence) => {
        await stores.clear();
        await connectUsers();
        await stores.populate(population, refreshes);
        breakerIsOpen = false;
        await fc.asyncModelRun(() => ({ model: {}, real: stores }), sequence);
      },
    ),
    { numRuns: 100 },
  );
  expect(EVENTS.filter((event) => !stores.seen.has(event))).toEqual([]);
});

/** All but one have been refreshed before, so that they are known to live. */
async function connectUsers(): Promise<void> {
  users = Array.from({ length: USERS }, () => randomUUID());
  await Promise.all(
    users.map((userId, index) =>
      stores.connect(userId, {
        accessToken: 'access',
        refreshToken: `refresh-of-${index}`,
        expiresInSeconds: 60,
        connectedSecondsAgo: index === OLD_USER ? 200 * DAY : null,
      }),
    ),
  );
  await stores.claimDue(WINDOW, SWEEP_LEASE);
  await stores.record(
    stores.leases.map((lease) => ({
      lease,
      outcome:
        lease.sql.userId === users[UNKNOWN_USER]
          ? { kind: 'released' }
          : { kind: 'refreshed', accessToken: 'access', expiresInSeconds: 60 },
    })),
  );
}

async function sweepOnce(refused: number): Promise<void> {
  await stores.letTimePass(SHORTEST_STEP);
  await stores.claimDue(WINDOW, SWEEP_LEASE);
  await recordOutcomes(
    new Map(users.map((_, index) => [index, USERS - index <= refused ? 'revoked' : 'refreshed'])),
  );
}

/** Records what became of the newest leases of some users, as one batch. */
async function recordOutcomes(batch: ReadonlyMap<number, Outcome>): Promise<void> {
  const before = await stores.states();
  const settled = [...batch].flatMap(([index, outcome]) => {
    const lease = stores.leases.findLast(({ sql }) => sql.userId === users[index]);
    return lease === undefined ? [] : [{ lease, outcome: outcomeOf(outcome) }];
  });
  const { verdicts, breakerIsOpen: isOpen } = await stores.record(settled);

  if (isOpen !== breakerIsOpen) stores.seen.add(isOpen ? 'opened' : 'closed');
  if (!isOpen && !breakerIsOpen && verdicts.includes('held')) stores.seen.add('nearly all refused');
  for (const [userId, { markedAfterAll, heldSince }] of await stores.states()) {
    const earlier = before.get(userId) as State;
    if (earlier.reauthorizationRequiredSince !== null && heldSince !== null) stores.seen.add('undone');
    if (markedAfterAll && !earlier.markedAfterAll) {
      stores.seen.add(breakerIsOpen ? 'believed after all' : 'believed after closing');
    }
  }
  breakerIsOpen = isOpen;
}

function outcomeOf(kind: Outcome): RefreshOutcome {
  switch (kind) {
    case 'refreshed':
      return { kind, accessToken: 'new', expiresInSeconds: 3_600 };
    case 'revoked':
      return { kind, reason: 'revoked', retryAfterSeconds: BACKOFF };
    case 'unavailable':
      return { kind, retryAfterSeconds: BACKOFF };
  }
}

function command(name: string, run: () => Promise<void>): fc.AsyncCommand<object, ComparedStores> {
  return commandOf(name, run);
}
