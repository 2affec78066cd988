/** What Spotify's edge says in passing, met by a whole sweep: through the real adapter, then at the pace of a sweep. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Secret, SPOTIFY_CLIENT } from '../../../lambda/adapters/secret.ts';
import { SpotifyTokenEndpoint } from '../../../lambda/adapters/spotify-token-endpoint.ts';
import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { sweep } from '../../../lambda/sweeper/sweep.ts';
import { FakeSecretsManager } from '../fakes/fake-secrets-manager.ts';
import { FakeTokenEndpoint, refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { FakeHttpServer, html, json, type Respond } from '../fakes/http-server.ts';
import { InMemoryConnectionStore } from '../fakes/in-memory-connection-store.ts';
import { InMemoryRescueQueue } from '../fakes/in-memory-rescue-queue.ts';
import { InMemorySweepQueue } from '../fakes/in-memory-sweep-queue.ts';
import { RecordingLog } from '../fakes/recording-log.ts';
import { RecordingMetrics } from '../fakes/recording-metrics.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const CONNECTIONS = 1_000;
const REFUSALS = 20;

let spotify: FakeHttpServer;

beforeAll(async () => {
  spotify = await FakeHttpServer.start();
});
afterAll(() => spotify.stop());

test.each<[string, Respond]>([
  ['503', html(503)],
  ['408', html(408)],
  ['421', html(421)],
  ['425', html(425)],
  ['temporarily_unavailable', json(400, { error: 'temporarily_unavailable' })],
  ['server_error', json(400, { error: 'server_error' })],
])('twenty times %s at the beginning of a sweep keep nobody from being refreshed', async (_name, refusal) => {
  const refused = await answerTo(refusal);
  const clock = new VirtualClock();
  const store = new InMemoryConnectionStore(clock);
  for (let index = 0; index < CONNECTIONS; index += 1) {
    store.connect(`user-${index}`, index / 10);
  }
  let calls = 0;
  const tokenEndpoint = new FakeTokenEndpoint(clock, () => {
    calls += 1;
    return calls <= REFUSALS ? refused : refreshedAnswer();
  });

  const result = await sweep(
    { role: 'first', scheduledAt: '2026-11-24T12:30:00Z', ageSeconds: 0, link: 0 },
    clock.monotonicMilliseconds() + 15 * 60_000,
    {
      store,
      tokenEndpoint,
      clock,
      rescueQueue: new InMemoryRescueQueue(),
      sweepQueue: new InMemorySweepQueue(),
      random: Math.random,
      log: new RecordingLog(),
      metrics: new RecordingMetrics(),
      windowSeconds: 40 * 60,
      batchSize: 500,
      callsPerSecond: null,
      connectionsPerInvocation: 100_000,
      intervalSeconds: 1_800,
    },
  );

  expect(result).toMatchObject({
    status: 'completed',
    refreshed: CONNECTIONS,
    failed: REFUSALS,
    remaining: 0,
  });
});

/** What the adapter makes of it. */
async function answerTo(respond: Respond): Promise<TokenAnswer> {
  spotify.respond = respond;
  const { client } = new FakeSecretsManager({ client_id: 'id', client_secret: 'secret' });
  const secret = new Secret(client, 'arn', SPOTIFY_CLIENT, new VirtualClock());
  return new SpotifyTokenEndpoint(new URL('/api/token', spotify.url), secret).refresh('AQD', 5_000);
}
