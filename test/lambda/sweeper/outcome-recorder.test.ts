import { beforeEach, expect, test } from '@jest/globals';
import { Brake } from '../../../lambda/sweeper/brake.ts';
import { OutcomeRecorder } from '../../../lambda/sweeper/outcome-recorder.ts';
import { Pacing } from '../../../lambda/sweeper/pacing.ts';
import { Tally } from '../../../lambda/sweeper/tally.ts';
import { FakeTokenEndpoint, refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { InMemoryConnectionStore } from '../fakes/in-memory-connection-store.ts';
import { InMemoryRescueQueue } from '../fakes/in-memory-rescue-queue.ts';
import { aLease } from '../fakes/leases.ts';
import { RecordingLog } from '../fakes/recording-log.ts';
import { RecordingMetrics } from '../fakes/recording-metrics.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

let clock: VirtualClock;
let store: InMemoryConnectionStore;
let brake: Brake;
let recorder: OutcomeRecorder;

beforeEach(() => {
  clock = new VirtualClock();
  store = new InMemoryConnectionStore(clock);
  brake = new Brake();
  recorder = new OutcomeRecorder({
    batchSize: 3,
    deadline: 900_000,
    pacing: new Pacing(),
    brake,
    tally: new Tally(),
    dependencies: {
      store,
      rescueQueue: new InMemoryRescueQueue(),
      tokenEndpoint: new FakeTokenEndpoint(clock, () => refreshedAnswer()),
      clock,
      random: Math.random,
      log: new RecordingLog(),
      metrics: new RecordingMetrics(),
    },
  });
});

test('two answers to one user, who authorized again between two claims, are never in one batch', async () => {
  const leases = ['a', 'b', 'a', 'a', 'c'].map((userId) => aLease({ userId }));
  for (const { userId } of leases) store.connect(userId, 60);

  await Promise.all(leases.map((lease) => recorder.add(lease, refreshedAnswer())));
  await recorder.finish();

  expect(brake.failure).toBeUndefined();
  expect(store.recorded.map(({ settled }) => settled.lease.leaseId).sort()).toEqual(
    leases.map(({ leaseId }) => leaseId).sort(),
  );
});
