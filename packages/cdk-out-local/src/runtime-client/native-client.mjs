/**
 * Does the work of `rapid-client.node` in `aws-lambda-ric` over `node:http`: the calls of Lambda's Runtime API.
 * If an answer cannot be delivered, the next `next` rejects and the process ends, as on Lambda.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 */
import { Agent, request } from 'node:http';
import { Writable } from 'node:stream';

const runtimeApi = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
const agent = new Agent({ keepAlive: true });

/** Written to both streams before each request for work, so that the environment knows when it has all that came before. */
const END_OF_OUTPUT = '\x1e\n';

/** Taken before the function's code can replace them. */
const streams = [process.stdout, process.stderr];
// On Lambda, a function that closes its output goes on.
for (const stream of streams) stream.on('error', () => {});

/** The native `done` and `error` block until delivery; here `next` waits for them instead. */
let lastAnswer = Promise.resolve();

export async function next() {
  await lastAnswer;
  for (const stream of streams) {
    while (stream.writableCorked > 0) stream.uncork();
    // Not `stream.write`, which the function's code may have replaced.
    Writable.prototype.write.call(stream, END_OF_OUTPUT);
  }
  const { headers, body } = await send('GET', 'next');
  return { headers, bodyJson: body };
}

export function done(requestId, responseJson) {
  lastAnswer = send('POST', `${requestId}/response`, responseJson);
}

export function error(requestId, errorJson, xrayJson) {
  lastAnswer = send('POST', `${requestId}/error`, errorJson, {
    'lambda-runtime-function-xray-error-cause': encodeURIComponent(xrayJson),
  });
}

function send(method, path, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const call = request(`${runtimeApi}/${path}`, { method, agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ headers: response.headers, body: text }));
      response.on('error', reject);
    });
    call.on('error', reject);
    call.end(body);
  });
}
