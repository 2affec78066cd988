/**
 * jest's setup for every test file: no connection can be opened to another machine. A test that tries fails with the
 * host's name.
 */
import { Socket, type SocketConnectOpts } from 'node:net';

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);
const GUARD = Symbol.for('loopback-only');

type Guarded = ((this: Socket, ...parameters: unknown[]) => Socket) & { [GUARD]?: true };

const connect = Socket.prototype.connect as Guarded;
// jest runs several test files in one process, each with modules of its own but with the same node:net.
if (!connect[GUARD]) {
  const guarded: Guarded = function (...parameters) {
    const host = hostOf(parameters);
    if (host !== undefined && !LOOPBACK.has(host)) {
      throw new Error(`tests must not reach ${host}: the network is blocked except loopback`);
    }
    return connect.apply(this, parameters);
  };
  guarded[GUARD] = true;
  Socket.prototype.connect = guarded as Socket['connect'];
}

/** node:net normalizes the arguments of `connect` into an array before it calls the method. */
function hostOf(parameters: readonly unknown[]): string | undefined {
  const [first, second] = parameters;
  const options = (Array.isArray(first) ? first[0] : first) as SocketConnectOpts | number | string;
  if (typeof options !== 'object') {
    return typeof second === 'string' ? second : 'localhost';
  }
  return 'path' in options && options.path ? undefined : ((options as { host?: string }).host ?? 'localhost');
}
