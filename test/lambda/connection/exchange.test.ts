import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type ExchangePolicy,
  exchange,
  WRITE_RESERVE_MILLISECONDS,
} from '../../../lambda/connection/exchange.ts';
import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { answersOfEachKind, FakeTokenEndpoint, refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { aLease } from '../fakes/leases.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const policy: ExchangePolicy = { attempts: 3, callTimeoutMilliseconds: 4_000 };
const unavailable: TokenAnswer = { kind: 'unavailable', reason: 'status 503' };

describe('exchanging the token of a lease', () => {
  test('sends the leased refresh token and returns the answer', async () => {
    const answer = refreshedAnswer();
    const { result, calls } = await run([answer]);
    expect(result).toBe(answer);
    expect(calls).toMatchObject([{ refreshToken: 'the-leased-token', timeoutMilliseconds: 4_000 }]);
  });

  test('tries again while Spotify is unavailable', async () => {
    const answer = refreshedAnswer();
    const { result, calls } = await run([unavailable, unavailable, answer]);
    expect(result).toBe(answer);
    expect(calls).toHaveLength(3);
  });

  test('gives up after so many attempts', async () => {
    const { result, calls } = await run([unavailable, unavailable, unavailable, refreshedAnswer()]);
    expect(result).toBe(unavailable);
    expect(calls).toHaveLength(3);
  });

  test.each(answersOfEachKind.filter(({ kind }) => kind !== 'unavailable'))(
    'takes the answer $kind at its word',
    async (answer) => {
      const { result, calls } = await run([answer, refreshedAnswer()]);
      expect(result).toBe(answer);
      expect(calls).toHaveLength(1);
    },
  );

  test.each([
    [0, [75, 150]],
    [0.5, [112.5, 225]],
  ])('pauses between attempts, longer each time (%p)', async (random, pauses) => {
    const { calls } = await run([unavailable, unavailable, unavailable], { random });
    const [first = 0, second = 0, third = 0] = calls.map((call) => call.startedAt);
    expect([second - first - 100, third - second - 100]).toEqual(pauses);
  });

  test('does not call when not even one call fits in before the deadline', async () => {
    const tooLittle = 4_000 + WRITE_RESERVE_MILLISECONDS - 1;
    expect(await run([refreshedAnswer()], { timeLeft: tooLittle })).toMatchObject({
      result: null,
      calls: [],
    });
  });

  test('does not call when not even one call fits in before the lease lapses', async () => {
    const tooLittle = 4_000 + WRITE_RESERVE_MILLISECONDS - 1;
    expect(await run([refreshedAnswer()], { leaseLeft: tooLittle })).toMatchObject({
      result: null,
      calls: [],
    });
  });

  test('calls when one call just fits in', async () => {
    const justEnough = 4_000 + WRITE_RESERVE_MILLISECONDS;
    const { calls } = await run([refreshedAnswer()], { timeLeft: justEnough, leaseLeft: justEnough });
    expect(calls).toHaveLength(1);
  });

  test('never starts a call that the lease or the deadline would not outlive, even if the process is stopped', async () => {
    const milliseconds = (max: number) => fc.integer({ min: 0, max });
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          timeLeft: milliseconds(20_000),
          leaseLeft: milliseconds(20_000),
          attempts: fc.integer({ min: 1, max: 6 }),
          callTimeoutMilliseconds: fc.integer({ min: 1, max: 6_000 }),
        }),
        fc.infiniteStream(milliseconds(8_000)),
        fc.infiniteStream(fc.oneof(fc.constant(0), milliseconds(10_000))),
        async ({ timeLeft, leaseLeft, ...tried }, latencies, stops) => {
          const clock = new VirtualClock();
          clock.oversleepMilliseconds = () => stops.next().value;
          const startedAt = clock.monotonicMilliseconds();
          const endpoint = new FakeTokenEndpoint(
            clock,
            () => unavailable,
            () => latencies.next().value,
          );
          const lease = aLease({ lapsesAt: startedAt + leaseLeft });

          const answer = await exchange(lease, tried, startedAt + timeLeft, endpoint, clock, Math.random);

          const lastMoment = startedAt + Math.min(timeLeft, leaseLeft) - WRITE_RESERVE_MILLISECONDS;
          for (const call of endpoint.calls) {
            expect(call.startedAt + call.timeoutMilliseconds).toBeLessThanOrEqual(lastMoment);
          }
          const oneFits = startedAt + tried.callTimeoutMilliseconds <= lastMoment;
          expect(endpoint.calls.length > 0).toBe(oneFits);
          expect(endpoint.calls.length).toBeLessThanOrEqual(tried.attempts);
          expect(answer === null).toBe(!oneFits);
        },
      ),
    );
  });
});

async function run(answers: TokenAnswer[], { timeLeft = 60_000, leaseLeft = 60_000, random = 0.5 } = {}) {
  const clock = new VirtualClock();
  const now = clock.monotonicMilliseconds();
  const remaining = answers.values();
  const endpoint = new FakeTokenEndpoint(clock, () => remaining.next().value as TokenAnswer);
  const lease = aLease({ refreshToken: 'the-leased-token', lapsesAt: now + leaseLeft });
  const deadline = now + timeLeft;
  const result = await exchange(lease, policy, deadline, endpoint, clock, () => random);
  return { result, calls: endpoint.calls };
}
