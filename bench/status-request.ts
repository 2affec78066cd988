import { randomUUID } from 'node:crypto';
import type { World } from './bench.ts';
import { connect, fillProfiles, fillQueue } from './database.ts';

const USERS = 1_000;

/** A user whose token has an hour left, and the browser's request for their status. */
export interface StatusRequest {
  readonly userId: string;
  /** The event of the HTTP API, payload format 2.0, as JSON text. */
  readonly event: string;
}

/** Fills the database and picks a user. */
export async function prepareStatusRequest({ database, supabase }: World): Promise<StatusRequest> {
  await fillProfiles(database.superuserUrl, USERS);
  await fillQueue(database.superuserUrl, 'all are due');
  const userId = await giveOneUserAnHour(database.ownerUrl);
  const token = await supabase.ask('signUserToken', userId);
  const path = `/api/v1/agents/music/status/${userId}`;
  const routeKey = 'GET /api/v1/agents/music/status/{user_id}';
  const event = {
    version: '2.0',
    routeKey,
    rawPath: path,
    rawQueryString: '',
    headers: { authorization: `Bearer ${token}`, accept: 'application/json', host: 'api.example.com' },
    requestContext: {
      accountId: '123456789012',
      apiId: 'bench',
      domainName: 'api.example.com',
      domainPrefix: 'api',
      http: { method: 'GET', path, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'bench' },
      requestId: randomUUID(),
      routeKey,
      stage: '$default',
      time: '24/Nov/2026:12:00:00 +0000',
      timeEpoch: Date.now(),
    },
    pathParameters: { user_id: userId },
    isBase64Encoded: false,
  };
  return { userId, event: JSON.stringify(event) };
}

/** @throws Error unless this is the answer for a connected user: anything else must not be measured */
export function assertConnected(payload: string): void {
  const { statusCode, body } = JSON.parse(payload) as { statusCode?: number; body?: string };
  const { connected } = JSON.parse(body ?? '{}') as { connected?: boolean };
  if (statusCode !== 200 || connected !== true) throw new Error(`the status function answered ${payload}`);
}

async function giveOneUserAnHour(ownerUrl: string): Promise<string> {
  await using client = await connect(ownerUrl);
  const { rows } = await client.query<{ id: string }>(
    `update public.profiles set spotify_token_expires_at = now() + interval '1 hour'
      where id = (select id from public.profiles limit 1) returning id`,
  );
  const [user] = rows;
  if (user === undefined) throw new Error('there is no profile');
  return user.id;
}
