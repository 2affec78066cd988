import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { readPublishedTokens } from '../../../lambda/adapters/supabase-discovery.ts';
import { FakeHttpServer, html, json, type Respond, reset } from '../fakes/http-server.ts';

const ISSUER = 'https://project.supabase.co/auth/v1';

let supabase: FakeHttpServer;
let configuration: Respond;
let keySet: Respond;

beforeAll(async () => {
  supabase = await FakeHttpServer.start();
});
afterAll(() => supabase.stop());

beforeEach(() => {
  supabase.reset();
  configuration = json(200, { issuer: ISSUER, jwks_uri: `${ISSUER}/.well-known/jwks.json` });
  keySet = json(200, { keys: [{ kid: 'one' }, { kid: 'two' }] });
  supabase.respond = (response, request) =>
    (request.path === '/auth/v1/.well-known/openid-configuration' ? configuration : keySet)(
      response,
      request,
    );
});

test('issuer and signing keys are read from what the project publishes', async () => {
  expect(await readPublishedTokens(supabase.url)).toEqual({ issuer: ISSUER, signingKeys: 2 });
  const request = { method: 'GET', headers: { accept: 'application/json' }, body: '' };
  expect(supabase.requests).toMatchObject([request, request]);
});

test.each<[string, Respond]>([
  ['no such document', json(404, { message: 'no Route matched' })],
  ['an empty issuer', json(200, { issuer: '' })],
])('a project with %s does not say its issuer', async (_name, answer) => {
  configuration = answer;
  expect(await readPublishedTokens(supabase.url)).toEqual({ issuer: null, signingKeys: 2 });
});

describe('what went wrong is said', () => {
  test('of an address that has no key set', async () => {
    keySet = html(404);
    await expect(readPublishedTokens(supabase.url)).rejects.toMatchObject({
      code: 'DISCOVERY_UNAVAILABLE',
      message: `${supabase.url.origin} has no key set: is it the address of a Supabase project?`,
    });
  });

  test.each<[string, Respond]>([
    ['answers with status 500', json(500, {})],
    ['answers with status 200', json(200, { keys: 'none' })],
    ['answers with status 200', html(200)],
    ['could not be read: connection failed: ECONNRESET', reset],
  ])('of a key set that %s', async (words, answer) => {
    keySet = answer;
    await expect(readPublishedTokens(supabase.url)).rejects.toMatchObject({
      code: 'DISCOVERY_UNAVAILABLE',
      message: expect.stringContaining(`${supabase.url.href}auth/v1/.well-known/jwks.json ${words}`),
    });
  });
});
