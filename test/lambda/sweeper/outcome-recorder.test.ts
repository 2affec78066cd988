import { beforeEach, expect, test } from '@jest/globals';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import type { Lease } from '../../../lambda/connection/lease.ts';
import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { Brake } from '../../../lambda/sweeper/brake.ts';
import { OutcomeRecorder } from '../../../lambda/sweeper/outcome-recorder.ts';
import { Pacing } from '../../../lambda/sweeper/pacing.ts';
import { Tally } from '../../../lambda/sweeper/tally.ts';
import { refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { aLease } from '../fakes/leases.ts';
import { SweepHarness } from '../fakes/sweep-harness.ts';

let harness: SweepHarness;
let store: SweepHarness['store'];
let log: SweepHarness['log'];
let brake: Brake;
let tally: Tally;

beforeEach(() => {
  harness = new SweepHarness();
  ({ store, log } = harness);
  brake = new Brake();
  tally = new Tally();
});

test('two answers to one user, who authorized again between two claims, are never in one batch', async () => {
  const leases = ['a', 'b', 'a', 'a', 'c'].map((userId) => aLease({ userId }));
  for (const { userId } of leases) store.connect(userId, 60);
  const recorder = startRecorder(3);

  await Promise.all(leases.map((lease) => recorder.add(lease, refreshedAnswer())));
  await recorder.finish();

  expect(brake.failure).toBeUndefined();
  expect(store.recorded.map(({ settled }) => settled.lease.leaseId).sort()).toEqual(
    leases.map(({ leaseId }) => leaseId).sort(),
  );
});

test('a batch is recorded as soon as it is complete', async () => {
  const recorder = startRecorder(3);
  await Promise.all(leaseMany(3).map((lease) => recorder.add(lease, refreshedAnswer())));
  expect(store.recorded).toHaveLength(3);
});

test('an answer is recorded within a second where Spotify is too slow to fill a batch', async () => {
  const { clock } = harness;
  const recorder = startRecorder(500);
  const answeredAt: number[] = [];
  const waits: number[] = [];
  store.beforeEach = () => {
    waits.push(clock.monotonicMilliseconds() - (answeredAt[0] ?? 0));
    answeredAt.length = 0;
  };
  for (const lease of leaseMany(30)) {
    answeredAt.push(clock.monotonicMilliseconds());
    await recorder.add(lease, refreshedAnswer());
    await clock.sleep(250);
  }
  await recorder.finish();
  expect(waits.length).toBeGreaterThan(4);
  expect(Math.max(...waits)).toBeLessThanOrEqual(1_005);
});

test('a user whose profile refuses the tokens costs nobody else theirs, and is named', async () => {
  const leases = leaseMany(20);
  store.model.usersRefusingTokens.add('user-3');
  await recordAll(leases, () => refreshedAnswer());
  expect(tally.counts()).toMatchObject({ refreshed: 19, failed: 1 });
  expect(log.lines).toContainEqual({
    level: 'error',
    message: 'profile refuses its tokens',
    fields: { user_id: 'user-3', sql_state: '23514', constraint: 'bondhus_own' },
  });
  expect(harness.metrics.added).toContainEqual({ profilesRefused: 1 });
});

test('what the breaker holds has failed for now, and the log says that it is open', async () => {
  const leases = leaseMany(3);
  store.openBreaker();
  await recordAll(leases, () => ({ kind: 'revoked', reason: 'revoked' }));
  expect(tally.counts()).toMatchObject({ revoked: 0, failed: 3 });
  expect(log.lines).toContainEqual(
    expect.objectContaining({ level: 'error', message: expect.stringContaining('breaker is open') }),
  );
});

test('that no function may call Spotify for a while stops the sweep', async () => {
  const leases = leaseMany(3);
  store.model.holdEverybodyBack(60);
  await recordAll(leases, () => refreshedAnswer());
  expect(brake.reason).toBe('throttled');
});

test('each refresh and the progress are in the log, and no token', async () => {
  await recordAll(leaseMany(20), () => refreshedAnswer({ rotated: true }));
  expect(log.lines.filter((line) => line.message === 'token refresh')).toHaveLength(20);
  expect(log.lines.filter((line) => line.level !== 'debug').map(({ message }) => message)).toEqual([
    'sweep progress',
  ]);
  expect(JSON.stringify(log.lines)).not.toMatch(/access-token|refresh-token/);
});

test('a new refresh token waits a minute for the database, and then goes to the rescue queue', async () => {
  const leases = leaseMany(1);
  store.beforeEach = () => {
    throw new StoreError('STORE_UNAVAILABLE', 'down');
  };
  await recordAll(leases, () => refreshedAnswer({ rotated: true }));
  expect(harness.rescueQueue.messages).toHaveLength(1);
  expect(harness.elapsedMilliseconds()).toBeGreaterThan(55_000);
  expect(harness.elapsedMilliseconds()).toBeLessThanOrEqual(60_000);
});

test('a batch that gathered while another one could not be recorded has as much time for the rescue queue', async () => {
  const leases = leaseMany(6);
  store.beforeEach = () => {
    throw new StoreError('STORE_UNAVAILABLE', 'down');
  };
  const { clock, rescueQueue } = harness;
  const put = rescueQueue.put.bind(rescueQueue);
  const rescuedAfter: number[] = [];
  rescueQueue.put = async (rotation, timeout) => {
    rescuedAfter.push(harness.elapsedMilliseconds());
    await put(rotation, timeout);
    await clock.sleep(900);
  };
  const recorder = startRecorder(3, 30);

  await Promise.all(leases.map((lease) => recorder.add(lease, refreshedAnswer({ rotated: true }))));
  await recorder.finish();

  expect(rescueQueue.messages).toHaveLength(6);
  expect(Math.min(...rescueQueue.timeouts)).toBeGreaterThanOrEqual(1_000);
  // Until then, almost half of the time, the database was asked again and again.
  expect(rescuedAfter[0]).toBeGreaterThan(12_000);
  expect(rescuedAfter[0]).toBeLessThan(13_750);
});

function startRecorder(batchSize: number, secondsLeft = 900): OutcomeRecorder {
  const { dependencies } = harness.prepare();
  const deadline = harness.clock.monotonicMilliseconds() + secondsLeft * 1_000;
  return new OutcomeRecorder({ batchSize, deadline, pacing: new Pacing(), brake, tally, dependencies });
}

function leaseMany(count: number): Lease[] {
  store.connectMany(count);
  return store.connections().map(({ userId }) => store.leaseElsewhere(userId, 900));
}

/** Records what Spotify answers to all leases, in one batch. */
async function recordAll(leases: readonly Lease[], answer: () => TokenAnswer): Promise<void> {
  const recorder = startRecorder(leases.length);
  await Promise.all(leases.map((lease) => recorder.add(lease, answer())));
  await recorder.finish();
}
