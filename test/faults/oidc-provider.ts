import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { listen } from 'cdk-out-local/listen';
import Provider, { type Adapter, type AdapterPayload, type KoaContextWithOIDC } from 'oidc-provider';
import type { SpotifyClient } from '../../stand-ins/bondhu/oauth.ts';
import type { Call } from '../../stand-ins/spotify/accounts-service.ts';
import type { GrantedTokens, IssuedRefreshToken, NewGrant } from '../../stand-ins/spotify/grants.ts';
import type { TokenEndpoint, TokenEndpointSettings } from '../e2e/token-endpoint.ts';

const SCOPE = 'user-read-email user-top-read user-read-recently-played';
const ACCESS_TOKEN_LIFE_SECONDS = 3_600;
/** Nearly six months, as Spotify's. */
const GRANT_LIFE_SECONDS = 180 * 86_400;

/**
 * node-oidc-provider (https://github.com/panva/node-oidc-provider) in Spotify's place: an authorization server that we did
 * not write decides what becomes of a refresh token. It rotates them, and a token that is used again ends its grant.
 *
 * Grants are made with the provider's own models, as its consent page would. The store that it keeps them in is ours,
 * for its own forgets what is beyond a thousand.
 */
export class OidcProvider implements TokenEndpoint {
  readonly tokenUrl: string;
  /** The app that it knows. */
  readonly client: SpotifyClient = { client_id: randomUUID(), client_secret: randomUUID() };
  calls: Call[] = [];
  underWay = 0;
  readonly #server: http.Server;
  readonly #provider: Provider;
  readonly #settings = { latencyMillis: 0, rotatesRefreshTokens: true };
  readonly #arrivals = new EventEmitter();
  readonly #refreshTokens = new Map<string, AdapterPayload>();
  /** Refresh tokens that it no longer holds among them. */
  readonly #issued = new Map<string, Omit<IssuedRefreshToken, 'isAlive'> & { readonly userId: string }>();
  readonly #revokedGrants = new Set<string>();
  #grants = 0;

  private constructor(server: http.Server, url: string) {
    this.tokenUrl = `${url}/api/token`;
    this.#provider = this.#createProvider(url);
    this.#provider.use((context, next) => this.#note(context as KoaContextWithOIDC, next));
    this.#server = server.on('request', this.#provider.callback());
  }

  /** Starts it on 127.0.0.1. */
  static async start(): Promise<OidcProvider> {
    const server = http.createServer();
    return new OidcProvider(server, `http://127.0.0.1:${await listen(server, 0)}`);
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  configure(changes: Partial<TokenEndpointSettings>): void {
    Object.assign(this.#settings, changes);
  }

  forgetCalls(): void {
    this.calls = [];
  }

  async nextTokenRequest(): Promise<string | undefined> {
    const [userId] = await once(this.#arrivals, 'token-request');
    return userId;
  }

  async createGrant({ userId }: NewGrant): Promise<GrantedTokens> {
    const { AccessToken, Client, Grant, RefreshToken } = this.#provider;
    const client = await Client.find(this.client.client_id);
    if (!client) throw new Error('node-oidc-provider does not know its client');
    const grant = new Grant({ accountId: userId, clientId: client.clientId });
    // Numbered, for tests compare which of two grants is the older one.
    this.#grants += 1;
    grant.jti = String(this.#grants);
    grant.addOIDCScope(SCOPE);
    const grantId = await grant.save();
    const consent = { accountId: userId, client, grantId, scope: SCOPE, gty: 'authorization_code' };
    return {
      grantId,
      spotifyUserId: `spotify-${userId}`,
      refreshToken: await new RefreshToken(consent).save(),
      accessToken: await new AccessToken(consent).save(),
    };
  }

  inspectRefreshToken(refreshToken: string): IssuedRefreshToken | undefined {
    const issued = this.#issued.get(refreshToken);
    if (issued === undefined) return undefined;
    const payload = this.#refreshTokens.get(refreshToken);
    const isAlive = payload?.consumed === undefined && !this.#revokedGrants.has(issued.grantId);
    return { grantId: issued.grantId, generation: issued.generation, isAlive };
  }

  #createProvider(issuer: string): Provider {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return new Provider(issuer, {
      adapter: (model: string) => this.#createAdapter(model),
      clients: [
        {
          ...this.client,
          token_endpoint_auth_method: 'client_secret_basic',
          grant_types: ['authorization_code', 'refresh_token'],
          redirect_uris: ['https://app.example.com/callback'],
          id_token_signed_response_alg: 'ES256',
        },
      ],
      features: { devInteractions: { enabled: false } },
      findAccount: (_context, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
      jwks: { keys: [privateKey.export({ format: 'jwk' })] },
      rotateRefreshToken: () => this.#settings.rotatesRefreshTokens,
      routes: { token: '/api/token' },
      // It knows no refresh tokens without offline_access.
      scopes: ['offline_access', ...SCOPE.split(' ')],
      ttl: {
        AccessToken: ACCESS_TOKEN_LIFE_SECONDS,
        Grant: GRANT_LIFE_SECONDS,
        RefreshToken: GRANT_LIFE_SECONDS,
      },
    });
  }

  /** What the provider keeps of one of its models. */
  #createAdapter(model: string): Adapter {
    const isOfRefreshTokens = model === 'RefreshToken';
    const kept = isOfRefreshTokens ? this.#refreshTokens : new Map<string, AdapterPayload>();
    return {
      upsert: async (id, payload) => {
        kept.set(id, payload);
        if (isOfRefreshTokens) this.#noteIssued(id, payload);
      },
      find: async (id) => {
        if (isOfRefreshTokens) await this.#delayExchange(id);
        const payload = kept.get(id);
        return this.#revokedGrants.has(payload?.grantId ?? '') ? undefined : payload;
      },
      consume: async (id) => {
        kept.set(id, { ...kept.get(id), consumed: true });
      },
      destroy: async (id) => {
        kept.delete(id);
      },
      revokeByGrantId: async (grantId) => {
        this.#revokedGrants.add(grantId);
      },
      // Of sessions and device codes, which do not occur here.
      findByUid: async () => undefined,
      findByUserCode: async () => undefined,
    };
  }

  #noteIssued(refreshToken: string, { accountId = '', grantId = '', rotations = 0 }: AdapterPayload): void {
    this.#issued.set(refreshToken, { userId: accountId, grantId, generation: rotations });
  }

  /** Before the provider looks the token up: meanwhile another process may use the same one. */
  async #delayExchange(refreshToken: string): Promise<void> {
    this.#arrivals.emit('token-request', this.#issued.get(refreshToken)?.userId);
    if (this.#settings.latencyMillis > 0) await sleep(this.#settings.latencyMillis);
  }

  /** Notes a token request once the provider has answered it. */
  async #note(context: KoaContextWithOIDC, next: () => Promise<unknown>): Promise<void> {
    if (context.method !== 'POST') {
      await next();
      return;
    }
    const startedAt = Date.now();
    this.underWay += 1;
    await next().finally(() => {
      this.underWay -= 1;
    });
    const issued = this.#issued.get(String(context.oidc.params?.['refresh_token']));
    const { error = 'refreshed' } = context.body as { readonly error?: string };
    this.calls.push({
      at: new Date(startedAt).toISOString(),
      userId: issued?.userId,
      grantId: issued?.grantId,
      outcome: error,
      status: context.status,
      durationMillis: Date.now() - startedAt,
    });
  }
}
