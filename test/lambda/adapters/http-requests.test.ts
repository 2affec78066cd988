import { type AddressInfo, createServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import {
  describeFailedRequest,
  type HttpRequest,
  HttpRequests,
} from '../../../lambda/adapters/http-requests.ts';

const REQUEST: HttpRequest = { method: 'GET', path: '/', headers: [], body: '' };

/** The first byte of a TLS connection: a handshake (RFC 8446, section 5.1). */
const TLS_HANDSHAKE = 22;

describe('a request', () => {
  test('to an https address is encrypted', async () => {
    let firstByte: number | undefined;
    await withServer(
      (socket, data) => {
        firstByte = data[0];
        socket.destroy();
      },
      async (port) => {
        const { failure } = await send(`https://127.0.0.1:${port}`);
        expect(failure).not.toBeNull();
      },
    );
    expect(firstByte).toBe(TLS_HANDSHAKE);
  });

  test('to an IPv6 address looks up no name', async () => {
    // Whether the machine has IPv6 or not.
    const { failure } = await send('http://[::1]:1');
    expect(failure).toMatchObject({ code: expect.stringMatching(/^E/), address: '::1' });
  });

  test('unpacks little more of an answer than is read of it', async () => {
    const packed = gzipSync('x'.repeat(500_000));
    const head = `HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${packed.length}\r\n\r\n`;
    await withServer(
      (socket) => void socket.write(Buffer.concat([Buffer.from(head), packed])),
      async (port) => {
        const { text, failure } = await send(`http://127.0.0.1:${port}`);
        expect(failure).toMatchObject({ message: 'answer too long' });
        expect(text.length).toBeLessThan(100_000);
      },
    );
  });

  test('that is answered with another protocol fails at once', async () => {
    await withServer(
      (socket) =>
        void socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: odd\r\n\r\n'),
      async (port) => {
        expect(await send(`http://127.0.0.1:${port}`)).toMatchObject({ failure: { message: 'status 101' } });
      },
    );
  });

  test('that is not answered in time leaves no connection behind', async () => {
    const closed = Promise.withResolvers<void>();
    await withServer(
      (socket) => void socket.on('close', () => closed.resolve()),
      async (port) => {
        expect(await send(`http://127.0.0.1:${port}`, 50)).toMatchObject({
          failure: { message: 'no answer in time' },
        });
        await closed.promise;
      },
    );
  });

  test('whose answer breaks off fails at once, and keeps what arrived', async () => {
    await withServer(
      (socket) =>
        void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nthe beginning', () =>
          socket.destroy(),
        ),
      async (port) => {
        expect(await send(`http://127.0.0.1:${port}`)).toMatchObject({
          status: 200,
          text: 'the beginning',
          failure: { code: 'ECONNRESET' },
        });
      },
    );
  });
});

test('a defect is not described as an outage', () => {
  const defect = new TypeError('a defect');
  expect(() => describeFailedRequest(defect)).toThrow(defect);
});

function send(address: string, timeoutMilliseconds = 2_000) {
  const requests = new HttpRequests(new URL(address), { longestBodyBytes: 1_000, isLenient: false });
  return requests.send(REQUEST, timeoutMilliseconds);
}

/** A server that does this with the first bytes of each connection. */
async function withServer(
  respond: (socket: Socket, data: Buffer) => void,
  act: (port: number) => Promise<void>,
): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => respond(socket, data));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await act((server.address() as AddressInfo).port);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}
