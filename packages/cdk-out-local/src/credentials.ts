import { createHash } from 'node:crypto';

/** Fake credentials of a function, in the form that Lambda provides. */
export interface FunctionCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/** A function as other services see it: the role it has assumed. */
export interface Caller {
  readonly functionName: string;
  readonly roleArn: string;
}

/** Issues a fake access key per function, and identifies callers by it. */
export class CredentialIssuer {
  readonly #callers = new Map<string, Caller>();

  issue(caller: Caller): FunctionCredentials {
    const hash = createHash('sha256').update(caller.functionName).digest('hex');
    const accessKeyId = `ASIA${hash.slice(0, 16).toUpperCase()}`;
    this.#callers.set(accessKeyId, caller);
    return { accessKeyId, secretAccessKey: hash.slice(16, 56), sessionToken: hash };
  }

  /** @param authorization the header of a request signed with AWS's Signature Version 4; not verified */
  findCaller(authorization: string | undefined): Caller | undefined {
    const [, accessKeyId] = authorization?.match(/^AWS4-HMAC-SHA256 Credential=([^/]+)\//) ?? [];
    return accessKeyId === undefined ? undefined : this.#callers.get(accessKeyId);
  }
}
