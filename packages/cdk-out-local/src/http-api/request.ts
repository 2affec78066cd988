import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';

/** A request as the gateway receives it. */
export interface GatewayRequest {
  /** The gateway's own id, which the answer contains as `apigw-requestid`. */
  readonly requestId: string;
  readonly receivedAt: Date;
  readonly method: string;
  /** As the client sent it. */
  readonly path: string;
  readonly queryString: string;
  readonly protocol: string;
  /** Names in lower case; values of repeated headers joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly sourceIp: string;
  readonly userAgent: string;
}

export async function readRequest(message: IncomingMessage): Promise<GatewayRequest> {
  const url = message.url ?? '/';
  const queryStart = url.includes('?') ? url.indexOf('?') : url.length;
  return {
    requestId: randomBytes(11).toString('base64'),
    receivedAt: new Date(),
    method: message.method ?? '',
    path: url.slice(0, queryStart),
    queryString: url.slice(queryStart + 1),
    protocol: `HTTP/${message.httpVersion}`,
    headers: Object.fromEntries(
      Object.entries(message.headersDistinct).map(([name, values]) => [name, values?.join(',') ?? '']),
    ),
    body: await buffer(message),
    sourceIp: message.socket.remoteAddress ?? '127.0.0.1',
    userAgent: message.headers['user-agent'] ?? '',
  };
}

/** The time in the format of the access log's `$context.requestTime`: `12/Mar/2026:19:03:58 +0000`. */
export function formatRequestTime(time: Date): string {
  const [, day, month, year, clock] = time.toUTCString().split(' ');
  return `${day}/${month}/${year}:${clock} +0000`;
}
