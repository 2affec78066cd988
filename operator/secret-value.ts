import { decodeJwt } from 'jose';
import * as v from 'valibot';
import { describeFormat, type SecretFormat } from '../lambda/adapters/secret.ts';
import { OperatorError } from './operator-error.ts';

/**
 * Checks the new value of a secret. No message repeats any part of it, not even names of members:
 * they may be secrets in the wrong place.
 *
 * @returns the value to store
 * @throws OperatorError
 */
export function parseSecretValue(format: SecretFormat<object>, text: string): string {
  const { schema, example } = format;
  if (text.trim() === '') {
    throw new OperatorError(`standard input is empty: it must be ${example}`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new OperatorError(`the value is not JSON: it must be ${example}`);
  }
  const parsed = v.safeParse(schema, json);
  if (!parsed.success) {
    const places = parsed.issues.map((issue) => v.getDotPath(issue) ?? 'its top');
    throw new OperatorError(`the value is wrong at ${places.join(', ')}: ${describeFormat(format)}`);
  }
  // The schema only keeps members that it knows.
  if (Object.keys(parsed.output).length < Object.keys(Object(json)).length) {
    throw new OperatorError(`the value has an unknown member: it must be ${example}`);
  }
  if ('secret_key' in parsed.output && !isSecretKey(String(parsed.output.secret_key))) {
    throw new OperatorError(
      "secret_key is not the project's secret key: it must begin with sb_secret_ (sb_publishable_ is the browser's key), or be the legacy service_role key",
    );
  }
  return JSON.stringify(parsed.output);
}

function isSecretKey(key: string): boolean {
  if (key.startsWith('sb_secret_')) return true;
  try {
    return decodeJwt(key)['role'] === 'service_role';
  } catch {
    return false;
  }
}
