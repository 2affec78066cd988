import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { OperatorError } from './operator-error.ts';

/** Written by `npm start` once its stack is ready. */
const stateFile = join(import.meta.dirname, '../.local/stack.json');

const LocalStack = v.object({ awsEndpointUrl: v.string() });

/**
 * Finds the stack that `npm start` runs on this machine.
 *
 * @returns the one address for all AWS services
 * @throws OperatorError with what to do, if no stack is running
 */
export async function findLocalAws(): Promise<string> {
  const text = await readFile(stateFile, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new OperatorError('no local stack is running: start one with "npm start" and wait for "Ready."', {
      cause: error,
    });
  });
  return v.parse(LocalStack, JSON.parse(text)).awsEndpointUrl;
}
