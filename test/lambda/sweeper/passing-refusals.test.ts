/** What Spotify's edge says in passing, met by a whole sweep: through the real adapter, then at the pace of a sweep. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Secret, SPOTIFY_CLIENT } from '../../../lambda/adapters/secret.ts';
import { SpotifyTokenEndpoint } from '../../../lambda/adapters/spotify-token-endpoint.ts';
import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { FakeSecretsManager } from '../fakes/fake-secrets-manager.ts';
import { refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { FakeHttpServer, html, json, type Respond } from '../fakes/http-server.ts';
import { SweepHarness } from '../fakes/sweep-harness.ts';
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
  const harness = new SweepHarness();
  harness.store.connectMany(CONNECTIONS);
  let answers = 0;
  harness.answer = () => {
    answers += 1;
    return answers <= REFUSALS ? refused : refreshedAnswer();
  };

  const result = await harness.sweep();

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
  const { reader } = new FakeSecretsManager({ client_id: 'id', client_secret: 'secret' });
  const secret = new Secret(reader, 'arn', SPOTIFY_CLIENT, new VirtualClock());
  return new SpotifyTokenEndpoint(new URL('/api/token', spotify.url), secret).refresh('AQD', 5_000);
}
