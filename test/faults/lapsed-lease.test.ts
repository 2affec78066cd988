/**
 * A process refreshes, is stopped, its lease lapses, another process claims the connection, the first goes on: every
 * order of their steps, run against the real SQL, and against models of Spotify or, where the server detects reuse,
 * node-oidc-provider.
 *
 * Left out, because `lambda/connection/exchange.ts` rules it out: a call to Spotify that is started after its lease
 * lapsed, or that its lease would not outlive. What remains of it in the real world (a process stopped between that
 * check and its request, or a request that takes effect after its timeout) no client can rule out.
 */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Json, type LeaseRow, type SpotifyColumns, TestDatabase } from '../supabase/database.ts';
import { breakFunction } from './break-function.ts';
import { OidcProvider } from './oidc-provider.ts';
import { isLongRun } from './run-length.ts';
import { type GrantServer, type ModelRules, SpotifyModel } from './spotify-model.ts';
import { exchange } from './token-endpoints.ts';

/** `detects reuse`: like strict, and using an old refresh token ends the grant. */
type ServerRules = ModelRules | 'detects reuse';

/** What one participant does, once the steps before it have been done. */
type Step = { readonly name: string; readonly after: readonly Step[]; readonly act: () => Promise<void> };

/**
 * How an order of steps ended.
 *
 * - `survived`: the stored refresh token was tried and exchanged, and no user is told to reconnect.
 * - `disconnected`: the user disconnected, and nobody's late write changed that.
 * - `ended at Spotify`: no refresh token of the latest authorization that a process received is alive.
 * - `lost`: there is one, and it is not the stored one, or the user is told to reconnect all the same.
 */
type Ending = 'survived' | 'disconnected' | 'ended at Spotify' | 'lost';

type Tally = { readonly orders: number; readonly endings: Map<Ending, string[]> };

/** What the first process's call ends in; `lost`: it took effect, but the answer never arrived. */
type FirstCall = 'answered' | 'lost' | 'not made';

type OutsideWrite = 'none' | 'reauthorization' | 'same token again' | 'disconnection' | 'refresh of its own';

const TOKEN_LIFE_SECONDS = 120;
const TIMEOUT_MILLISECONDS = isLongRun ? 600_000 : 60_000;

const OUTSIDE_WRITES: OutsideWrite[] = [
  'none',
  'reauthorization',
  'same token again',
  'disconnection',
  'refresh of its own',
];

let database: TestDatabase;
let provider: OidcProvider;

beforeAll(async () => {
  provider = await OidcProvider.start();
  database = await TestDatabase.start();
  // With the breaker closed for good, a mark that was wrongly made stays and is seen.
  await database.clear();
});
afterAll(async () => {
  await database.stop();
  await provider.stop();
});

describe('whatever the order of steps, a grant survives', () => {
  const count = { orders: 0, ended: 0, lost: 0 };
  afterAll(() => {
    process.stdout.write(
      `lapsed lease: ${count.orders} orders of claims, calls, lapses, records and outside writes ` +
        `of ${isLongRun ? 'two or three' : 'two'} processes; ${count.lost} grants lost; ` +
        `${count.ended} ended by reuse detection, each after a process sat on an answer beyond its lease\n`,
    );
  });

  test.each<ServerRules>(['keeps', 'lenient', 'strict'])(
    'when the server %s',
    async (rules) => {
      for (const outsideWrite of OUTSIDE_WRITES) {
        const { orders, endings } = await runAllOrders(rules, outsideWrite, 'answered');
        count.orders += orders;
        count.lost += endings.get('lost')?.length ?? 0;
        expect(endings.get('lost') ?? []).toEqual([]);
        expect(endings.get('ended at Spotify') ?? []).toEqual([]);
      }
    },
    TIMEOUT_MILLISECONDS,
  );

  test(
    'when the server detects reuse, unless a process sits on an answer until another has claimed the connection',
    async () => {
      // Without an outside refresher, which knows of no leases: no client survives that with such a server.
      for (const outsideWrite of OUTSIDE_WRITES.filter((write) => write !== 'refresh of its own')) {
        const { orders, endings } = await runAllOrders('detects reuse', outsideWrite, 'answered');
        const ended = endings.get('ended at Spotify') ?? [];
        count.orders += orders;
        count.ended += ended.length;
        count.lost += endings.get('lost')?.length ?? 0;
        expect(avoidablyEnded(endings)).toEqual([]);
        if (outsideWrite === 'none') expect(ended.length).toBeGreaterThan(0);
      }
    },
    TIMEOUT_MILLISECONDS,
  );

  test.each<[FirstCall, ServerRules]>([
    ['lost', 'lenient'],
    ['lost', 'strict'],
    ['not made', 'lenient'],
    ['not made', 'strict'],
    ['not made', 'detects reuse'],
  ])(
    "when the first call's answer is %s, and the server is %s",
    async (firstCall, rules) => {
      for (const outsideWrite of ['none', 'reauthorization', 'disconnection'] as const) {
        const { orders, endings } = await runAllOrders(rules, outsideWrite, firstCall);
        count.orders += orders;
        count.lost += endings.get('lost')?.length ?? 0;
        expect(endings.get('lost') ?? []).toEqual([]);
        if (firstCall === 'not made') expect(endings.get('ended at Spotify') ?? []).toEqual([]);
      }
    },
    TIMEOUT_MILLISECONDS,
  );
});

test.each<[string, ServerRules[], string, string]>([
  [
    'a late success that rotated needs its lease after all',
    // Once another process has used the old token, a server that detects reuse has ended the grant anyway.
    ['strict'],
    "when r.outcome in ('refreshed', 'refresh_token_only') and r.refresh_token <> r.used_refresh_token\n          and p.spotify_refresh_token = r.used_refresh_token then 'applied'",
    '',
  ],
  [
    'whatever comes is applied',
    ['strict', 'detects reuse'],
    'when p.id is null then case',
    "when true then 'applied'\n        when p.id is null then case",
  ],
  [
    'a lease suffices, whatever token is stored',
    ['strict', 'detects reuse'],
    "and (r.outcome not in ('refreshed', 'refresh_token_only', 'revoked')\n          or p.spotify_refresh_token = r.used_refresh_token)",
    'or true',
  ],
])(
  'the checks notice when %s',
  async (_name, servers, rule, replacement) => {
    const [original] = await database.owner<{ text: string }>(
      "select pg_get_functiondef('spotify_auth.judge_outcomes'::regproc) as text",
    );
    await breakFunction((text, values) => database.owner(text, values), 'judge_outcomes', rule, replacement);

    const noticed = new Set<ServerRules>();
    for (const rules of servers) {
      for (const outsideWrite of ['none', 'reauthorization'] as const) {
        const { endings } = await runAllOrders(rules, outsideWrite, 'answered');
        if (avoidablyEnded(endings).length > 0) noticed.add(rules);
      }
    }
    await database.owner(original?.text ?? '');

    expect([...noticed]).toEqual(servers);
  },
  TIMEOUT_MILLISECONDS,
);

/** Runs every order in which the participants' steps can happen, each for a user of its own. */
async function runAllOrders(
  rules: ServerRules,
  outsideWrite: OutsideWrite,
  firstCall: FirstCall,
): Promise<Tally> {
  const endings = new Map<Ending, string[]>();
  const { steps } = new Story(outsideWrite, firstCall, '', createServer(rules), '');
  const names = [...ordersOf(steps)].map((order) => order.map(({ name }) => name));
  for (const order of names) {
    const spotify = createServer(rules);
    const token = await spotify.authorize();
    const user = await database.createUser({ access: 'access', refresh: token, expires: 60 });
    const story = new Story(outsideWrite, firstCall, user, spotify, token);
    for (const name of order) await story.steps.find((step) => step.name === name)?.act();
    const ending = await story.findEnding();
    endings.set(ending, [...(endings.get(ending) ?? []), order.join(', ')]);
    // Out of the way of the next order's sweep.
    await database.owner('delete from auth.users');
  }
  return { orders: names.length, endings };
}

function createServer(rules: ServerRules): GrantServer {
  if (rules !== 'detects reuse') return new SpotifyModel(rules);
  return {
    authorize: async () => (await provider.createGrant({ userId: randomUUID() })).refreshToken,
    exchange: (token) => exchange(provider.tokenUrl, provider.client, token),
    isAlive: (token) => provider.inspectRefreshToken(token)?.isAlive === true,
  };
}

/** Every order that puts no step before one that it comes after. */
function* ordersOf(steps: readonly Step[], done: readonly Step[] = []): Generator<readonly Step[]> {
  if (done.length === steps.length) yield done;
  for (const step of steps) {
    if (!done.includes(step) && step.after.every((earlier) => done.includes(earlier))) {
      yield* ordersOf(steps, [...done, step]);
    }
  }
}

/** One user, the processes that refresh their connection, and what Bondhu's backend does meanwhile. */
class Story {
  readonly steps: readonly Step[];
  readonly #user: string;
  readonly #spotify: GrantServer;
  /** Refresh tokens of the latest authorization that reached one of our processes, or that Bondhu stored. */
  readonly #known: Set<string>;
  #isDisconnected = false;

  constructor(
    outsideWrite: OutsideWrite,
    firstCall: FirstCall,
    user: string,
    spotify: GrantServer,
    token: string,
  ) {
    this.#user = user;
    this.#spotify = spotify;
    this.#known = new Set([token]);
    const viaSweep = async () => (await database.claim({ batch_size: 1 })).claims[0] ?? null;
    const viaStatus = async () => (await database.check(user)).lease;
    const first = this.#process('A', viaSweep, firstCall);
    const second = this.#process('B', viaStatus, 'answered', first.lapses);
    // With a writer that takes two steps there would be 3,700 orders of three, which is minutes.
    const hasThird = isLongRun && firstCall === 'answered' && outsideWrite !== 'refresh of its own';
    const processes = hasThird
      ? [first, second, this.#process('C', viaSweep, 'answered', second.lapses)]
      : [first, second];
    // The last one's lease lapses as well, but no process is left to use it.
    const last = processes.at(-1)?.lapses;
    this.steps = [
      ...processes.flatMap((one) => Object.values(one)).filter((step) => step !== last),
      ...this.#outside(outsideWrite),
    ];
  }

  async findEnding(): Promise<Ending> {
    const stored = (await database.profile(this.#user))?.['spotify_refresh_token'] as string | null;
    const connection = await database.connection(this.#user);
    if (this.#isDisconnected) return stored === null ? 'disconnected' : 'lost';
    const isMarkedDead = connection?.['reauthorization_required_since'] !== null;
    // Before one is tried: a server that detects reuse ends the grant if it is an old one.
    const isAnyAlive = [...this.#known].some((token) => this.#spotify.isAlive(token));
    const isTaken = stored !== null && (await this.#spotify.exchange(stored)) !== 'invalid_grant';
    if (isTaken && !isMarkedDead) return 'survived';
    return isAnyAlive ? 'lost' : 'ended at Spotify';
  }

  #process(name: string, claim: () => Promise<LeaseRow | null>, call: FirstCall, begin?: Step) {
    let lease: LeaseRow | null = null;
    let outcome: Json = { outcome: 'released' };
    const claims: Step = {
      name: `${name} claims`,
      after: begin ? [begin] : [],
      act: async () => {
        lease = await claim();
      },
    };
    const calls: Step = {
      name: `${name} calls`,
      after: [claims],
      act: async () => {
        if (lease && call !== 'not made') outcome = await this.#call(lease, call === 'lost');
      },
    };
    const lapses: Step = {
      name: `${name}'s lease lapses`,
      after: [calls],
      act: () => database.letTimePass(this.#user, '6 minutes'),
    };
    const records: Step = {
      name: `${name} records`,
      after: [calls],
      act: async () => {
        if (lease) expect(await database.record(lease, outcome)).not.toBe('busy');
      },
    };
    return { claims, calls, lapses, records };
  }

  async #call(lease: LeaseRow, answerIsLost: boolean): Promise<Json> {
    const answer = await this.#spotify.exchange(lease.refresh_token);
    if (answerIsLost) return { outcome: 'unavailable', retry_after: 1 };
    if (answer === 'invalid_grant') {
      return { outcome: 'revoked', used_refresh_token: lease.refresh_token };
    }
    const isOfLatest = this.#known.has(lease.refresh_token);
    if (answer.refreshToken !== null && isOfLatest) this.#known.add(answer.refreshToken);
    return {
      outcome: 'refreshed',
      used_refresh_token: lease.refresh_token,
      access_token: 'refreshed',
      refresh_token: answer.refreshToken,
      expires_in: TOKEN_LIFE_SECONDS,
    };
  }

  #outside(write: OutsideWrite): Step[] {
    const store = (columns: SpotifyColumns) =>
      database.writeProfile(this.#user, {
        expires: TOKEN_LIFE_SECONDS,
        connectedAt: new Date().toISOString(),
        ...columns,
      });
    if (write === 'none') return [];
    if (write === 'refresh of its own') {
      let token: string | null = null;
      const calls: Step = {
        name: 'Bondhu calls',
        after: [],
        act: async () => {
          const stored = (await database.profile(this.#user))?.['spotify_refresh_token'] as string;
          const answer = await this.#spotify.exchange(stored);
          if (answer !== 'invalid_grant') token = answer.refreshToken ?? stored;
        },
      };
      const stores: Step = {
        name: 'Bondhu stores',
        after: [calls],
        act: async () => {
          if (token === null) return;
          this.#known.add(token);
          await store({ access: 'from Bondhu', refresh: token });
        },
      };
      return [calls, stores];
    }
    const act = async () => {
      if (write === 'same token again') return store({ access: 'from Bondhu' });
      this.#known.clear();
      if (write === 'disconnection') {
        this.#isDisconnected = true;
        return store({ access: null, refresh: null, expires: null, connectedAt: null });
      }
      const token = await this.#spotify.authorize();
      this.#known.add(token);
      return store({ access: 'from Bondhu', refresh: token });
    };
    return [{ name: `Bondhu stores a ${write}`, after: [], act }];
  }
}

/** Orders that cost the user the grant, and not because a process sat on an answer. */
function avoidablyEnded(endings: Tally['endings']): string[] {
  const ended = endings.get('ended at Spotify') ?? [];
  return [...(endings.get('lost') ?? []), ...ended.filter((order) => !hasClaimBeforeRecord(order))];
}

/** Whether a process called after another's call, with a token that it claimed before that other's record. */
function hasClaimBeforeRecord(order: string): boolean {
  const at = (step: string) => order.indexOf(step);
  const names = ['A', 'B', 'C'].filter((name) => at(`${name} calls`) >= 0);
  return names.some((one) =>
    names.some(
      (other) => at(`${one} calls`) < at(`${other} calls`) && at(`${other} claims`) < at(`${one} records`),
    ),
  );
}
