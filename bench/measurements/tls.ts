import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import type { Bench, World } from '../bench.ts';
import { startChild } from '../child.ts';
import type { Findings } from '../figure.ts';
import type { BareClient } from '../processes/bare-client.ts';
import type { TokenEndpoint } from '../processes/token-endpoint.ts';
import { sweepOnce } from '../sweep-once.ts';
import type { Usage } from '../usage.ts';

const DUE = 20_000;

/** A sweep over TLS, which Spotify requires, beside undici with HTTP/1.1 and HTTP/2. Only a report. */
export async function measureTls(bench: Bench): Promise<Findings> {
  const world = await bench.world();
  const directory = await mkdtemp(join(tmpdir(), 'spotify-auth-certificate-'));
  await using _removed = { [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
  const { cert, private: key } = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  });
  const certificateFile = join(directory, 'certificate.pem');
  await writeFile(certificateFile, cert);
  const trust = { NODE_EXTRA_CA_CERTS: certificateFile };

  await using tokenEndpoint = startChild<TokenEndpoint>('token-endpoint.ts');
  const tokenUrl = await tokenEndpoint.ask('startSecure', { cert, key });
  const { sweeper } = world.functions;
  const overTls: World = {
    ...world,
    tokenEndpoint,
    tokenUrl,
    functions: {
      ...world.functions,
      sweeper: {
        ...sweeper,
        environment: { ...sweeper.environment, ...trust, SPOTIFY_TOKEN_URL: tokenUrl },
      },
    },
  };
  bench.progress(`The sweeper over TLS: ${DUE} due connections`);
  const sweep = await sweepOnce(overTls, DUE);
  const concurrency = sweep.mostUnderWay;

  const bare = async (http2: boolean) => {
    bench.progress(
      `The bare client over TLS, HTTP/${http2 ? '2' : '1.1'}: ${DUE} calls, ${concurrency} at once`,
    );
    await using client = startChild<BareClient>('bare-client.ts', { env: { ...process.env, ...trust } });
    return await client.ask('refresh', { tokenUrl, count: DUE, concurrency, http2 });
  };
  const describe = (name: string, { milliseconds, cpuMilliseconds }: Usage) =>
    `  ${name}: ${((DUE * 1_000) / milliseconds).toFixed(0)}/s, ${(cpuMilliseconds / DUE).toFixed(3)} ms of processor time each`;
  return {
    figures: [],
    report: [
      `Over TLS, ${DUE} tokens, ${concurrency} calls at once:`,
      describe('the sweeper, with its database', sweep),
      describe('the bare client (undici), HTTP/1.1', await bare(false)),
      describe('the bare client (undici), HTTP/2', await bare(true)),
    ],
  };
}
