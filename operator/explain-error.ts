import { OperatorError, UsageError } from './operator-error.ts';

/** Describes in one line what went wrong and what to do; never contains a secret. */
export function explainError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { name, code } = error as Error & { readonly code?: unknown };
  const message = error.message.replaceAll(/\s+/g, ' ').trim();
  switch (name) {
    case 'CredentialsProviderError':
    case 'TokenProviderError':
      return `no AWS credentials: set AWS_PROFILE, and sign in with "aws sso login" if the profile needs it (${message})`;
    case 'ExpiredToken':
    case 'ExpiredTokenException':
    case 'RequestExpired':
      return 'the AWS credentials have expired: get new ones, for instance with "aws sso login"';
    case 'InvalidClientTokenId':
    case 'UnrecognizedClientException':
    case 'InvalidSignatureException':
    case 'SignatureDoesNotMatch':
      return 'AWS rejects these credentials: check AWS_PROFILE and the clock of this machine';
    case 'AccessDenied':
    case 'AccessDeniedException':
    case 'AuthorizationError':
    case 'AuthorizationErrorException':
      return explainDenial(message);
    case 'TimeoutError':
      return `AWS did not answer in time: ${message}`;
  }
  if (message === 'Region is missing') return 'no AWS region: set AWS_REGION, or the region of the profile';
  if (typeof code === 'string' && UNREACHABLE.has(code)) {
    return `cannot reach AWS: ${message || code}; check AWS_REGION and the network, or whether "npm start" is still running`;
  }
  const isOurs = error instanceof OperatorError || error instanceof UsageError;
  return isOurs || name === 'Error' ? message : `${name}: ${message}`;
}

const UNREACHABLE = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

function explainDenial(message: string): string {
  const { action, resource } =
    /perform: (?<action>[\w-]+:\w+)(?: on resource: (?<resource>\S+))?/.exec(message)?.groups ?? {};
  if (action === undefined) return `access denied: ${message}`;
  const place = resource === undefined ? '' : ` on ${resource}`;
  return `access denied: these credentials need ${action}${place}`;
}
