import { once } from 'node:events';
import type { Server } from 'node:net';

/**
 * Starts a server on this machine only (127.0.0.1).
 *
 * @param preferredPort the port to use; 0 means any free one
 * @returns the port: the preferred one, or a free one if that is already in use
 */
export async function listen(server: Server, preferredPort: number): Promise<number> {
  try {
    await listenOn(server, preferredPort);
  } catch (error) {
    if (!isAddressInUse(error)) throw error;
    await listenOn(server, 0);
  }
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no TCP address');
  return address.port;
}

async function listenOn(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}

function isAddressInUse(error: unknown): boolean {
  // Not `instanceof Error`: under jest the errors of Node's own modules come from another realm.
  return Object(error).code === 'EADDRINUSE';
}
