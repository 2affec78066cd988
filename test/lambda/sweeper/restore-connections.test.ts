import { expect, test } from '@jest/globals';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import { restoreConnections } from '../../../lambda/sweeper/restore-connections.ts';
import { RecordingLog } from '../fakes/recording-log.ts';

const SINCE = '2026-11-24T03:00:00Z';

/** A database in which so many connections are wrongly marked. */
function marked(count: number) {
  let left = count;
  return {
    left: () => left,
    restore: async (since: string, batchSize: number) => {
      expect(since).toBe(SINCE);
      const batch = Math.min(left, batchSize);
      left -= batch;
      return batch;
    },
    show: () => Promise.reject(new Error('not to be called')),
    statistics: () => Promise.reject(new Error('not to be called')),
  };
}

test.each([0, 1, 5_000, 12_345])('all of %d marks are undone', async (count) => {
  const administration = marked(count);
  expect(await restoreConnections(SINCE, { administration, log: new RecordingLog() })).toEqual({
    restored: count,
  });
  expect(administration.left()).toBe(0);
});

test('what was undone before a failure is in the log', async () => {
  const administration = marked(12_345);
  const log = new RecordingLog();
  const { restore } = administration;
  administration.restore = async (...batch) => {
    if (administration.left() < 3_000) throw new StoreError('STORE_UNAVAILABLE', 'down');
    return restore(...batch);
  };
  await expect(restoreConnections(SINCE, { administration, log })).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
  });
  expect(log.lines.at(-1)).toMatchObject({ fields: { since: SINCE, restored: 10_000 } });
});
