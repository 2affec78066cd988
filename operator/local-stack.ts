import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';

/** Written by `npm start` once its stack is ready. */
const stateFile = join(import.meta.dirname, '../.local/stack.json');

const LocalStack = v.object({ awsEndpointUrl: v.string() });

/**
 * Finds the stack that `npm start` runs on this machine.
 *
 * @returns the one address that stands for all services of AWS
 * @throws Error saying what to do, where no stack is running
 */
export async function findLocalAws(): Promise<string> {
  const text = await readFile(stateFile, 'utf8').catch(() => {
    throw new Error(
      'no local stack is running: start one with "npm start" and wait until it says that it is ready',
    );
  });
  return v.parse(LocalStack, JSON.parse(text)).awsEndpointUrl;
}
