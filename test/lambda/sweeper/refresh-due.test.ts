import { expect, test } from '@jest/globals';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import { refreshDue } from '../../../lambda/sweeper/refresh-due.ts';
import { FakeTokenEndpoint, refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { InMemoryConnectionStore } from '../fakes/in-memory-connection-store.ts';
import { InMemoryRescueQueue } from '../fakes/in-memory-rescue-queue.ts';
import { RecordingLog } from '../fakes/recording-log.ts';
import { RecordingMetrics } from '../fakes/recording-metrics.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

/** Its rejection, which nobody awaits yet, would end the process with every lease unsettled. */
test('a claim that fails while the batch before it is being started costs no outcome of that batch', async () => {
  const clock = new VirtualClock();
  const store = new InMemoryConnectionStore(clock);
  for (let index = 0; index < 60; index += 1) {
    store.connect(`user-${index}`, 60);
  }
  let claims = 0;
  store.beforeEach = (method) => {
    claims += method === 'claimDue' ? 1 : 0;
    if (claims > 1) {
      store.beforeEach = () => {};
      throw new StoreError('STORE_UNAVAILABLE', 'the database is away for a moment');
    }
  };
  const beganAt = clock.monotonicMilliseconds();

  const refreshing = refreshDue(
    { role: 'first', scheduledAt: null, ageSeconds: 0, link: 0 },
    beganAt,
    beganAt + 900_000,
    {
      store,
      rescueQueue: new InMemoryRescueQueue(),
      // Slower than the claim, so that the batch is not yet started when that fails.
      tokenEndpoint: new FakeTokenEndpoint(
        clock,
        () => refreshedAnswer(),
        () => 1_000,
      ),
      clock,
      random: Math.random,
      log: new RecordingLog(),
      metrics: new RecordingMetrics(),
      windowSeconds: 2_400,
      batchSize: 40,
      callsPerSecond: null,
    },
  );

  await expect(refreshing).rejects.toThrow('the database is away for a moment');
  expect(store.leases.size).toBe(40);
  expect(store.recorded.map(({ verdict }) => verdict)).toEqual(Array(40).fill('applied'));
});
