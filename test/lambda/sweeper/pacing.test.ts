import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { LOWEST_CONCURRENCY, PacedTasks, Pacing } from '../../../lambda/sweeper/pacing.ts';
import { SweepHarness } from '../fakes/sweep-harness.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const HIGHEST = 192;

describe('the pace', () => {
  test('begins with a single call, and with 16 at once after a good answer', () => {
    const pacing = new Pacing();
    expect(pacing.limit).toBe(1);
    report(pacing, true, 1);
    expect(pacing.limit).toBe(16);
  });

  test('doubles with every full round of good answers until the first bad one', () => {
    const pacing = new Pacing();
    report(pacing, true, 1);
    const before = pacing.limit;
    report(pacing, true, before);
    expect(pacing.limit).toBe(before * 2);
    report(pacing, false, 1);
    report(pacing, true, before - 1);
    expect(pacing.limit).toBe(before);
  });

  test('then rises by one for every full round of good answers', () => {
    const pacing = new Pacing();
    report(pacing, true, 1_000);
    report(pacing, false, 1);
    const before = pacing.limit;
    report(pacing, true, before - 1);
    expect(pacing.limit).toBe(before);
    report(pacing, true, 1);
    expect(pacing.limit).toBe(before + 1);
    report(pacing, true, before + 1);
    expect(pacing.limit).toBe(before + 2);
  });

  test('halves after a bad answer', () => {
    const pacing = new Pacing();
    report(pacing, true, 10_000);
    const before = pacing.limit;
    report(pacing, false, 1);
    expect(pacing.limit).toBe(Math.floor(before / 2));
  });

  test('begins a new round after a bad answer', () => {
    const pacing = new Pacing();
    report(pacing, false, 1);
    report(pacing, true, pacing.limit - 1);
    report(pacing, false, 1);
    const slow = pacing.limit;
    report(pacing, true, slow - 1);
    expect(pacing.limit).toBe(slow);
  });

  test('is the lowest at least after a bad answer, also the first', () => {
    const pacing = new Pacing();
    report(pacing, false, 1);
    expect(pacing.limit).toBe(LOWEST_CONCURRENCY);
  });

  test('then stays between the lowest and the highest, and never rises by more than one', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 2_000, size: 'max' }), (answers) => {
        const pacing = new Pacing();
        const [, ...limits] = answers.map((answeredWell) => {
          const before = pacing.limit;
          pacing.report(answeredWell);
          return { limit: pacing.limit, tooFast: pacing.limit - before > (answeredWell ? 1 : 0) };
        });
        expect(limits.filter(({ limit }) => limit < LOWEST_CONCURRENCY || limit > HIGHEST)).toEqual([]);
        expect(limits.filter(({ tooFast }) => tooFast)).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });

  test('reaches the highest when all goes well for long', () => {
    const pacing = new Pacing();
    report(pacing, true, 20_000);
    expect(pacing.limit).toBe(HIGHEST);
  });
});

describe('paced tasks', () => {
  test('run once for each item, never more at once than the limit of that moment, and are all waited for', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ milliseconds: fc.nat(500), answeredWell: fc.boolean() }), {
          maxLength: 150,
          size: 'max',
        }),
        async (items) => {
          const clock = new VirtualClock();
          const pacing = new Pacing();
          const done: unknown[] = [];
          let underWay = 0;
          let tooMany = false;
          const tasks = new PacedTasks(pacing);
          for (const item of items) {
            await tasks.start(async () => {
              underWay += 1;
              tooMany ||= underWay > pacing.limit;
              await clock.sleep(item.milliseconds);
              underWay -= 1;
              pacing.report(item.answeredWell);
              done.push(item);
            });
          }
          await tasks.finish();
          expect(tooMany).toBe(false);
          expect(underWay).toBe(0);
          expect(new Set(done)).toEqual(new Set(items));
          expect(done).toHaveLength(items.length);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('use the whole limit', async () => {
    const clock = new VirtualClock();
    const pacing = new Pacing();
    report(pacing, true, 1);
    let underWay = 0;
    let most = 0;
    const tasks = new PacedTasks(pacing);
    for (let count = 0; count < 100; count += 1) {
      await tasks.start(async () => {
        underWay += 1;
        most = Math.max(most, underWay);
        await clock.sleep(100);
        underWay -= 1;
      });
    }
    await tasks.finish();
    expect(most).toBe(pacing.limit);
  });
});

describe('a sweep', () => {
  let harness: SweepHarness;

  beforeEach(() => {
    harness = new SweepHarness();
  });

  test('keeps several calls under way, and never more than the pace allows', async () => {
    harness.store.connectMany(300);
    await harness.refreshDue();
    expect(harness.spotify.mostUnderWay).toBeGreaterThanOrEqual(16);
    expect(harness.spotify.mostUnderWay).toBeLessThanOrEqual(HIGHEST);
  });

  test('slows down while Spotify fails', async () => {
    harness.store.connectMany(100);
    harness.answer = () => ({ kind: 'unavailable', reason: 'status 503' });
    await harness.refreshDue({ milliseconds: 40_000 });
    const progress = harness.log.lines.filter((line) => line.message === 'sweep progress');
    expect(progress.at(-1)).toMatchObject({ fields: { concurrency: LOWEST_CONCURRENCY } });
  });
});

function report(pacing: Pacing, answeredWell: boolean, times: number): void {
  for (let count = 0; count < times; count += 1) {
    pacing.report(answeredWell);
  }
}
