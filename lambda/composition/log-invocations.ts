import type { MiddlewareObj } from '@middy/core';
import type { PowertoolsLog } from '../adapters/powertools-log.ts';

/**
 * Adds the ids of each invocation, and whether it is the first of its instance, to every log line. Metrics need
 * nothing like it: each is written at once, so that an invocation that is killed a moment later still counts.
 */
export function logInvocations(log: PowertoolsLog): Required<Pick<MiddlewareObj, 'before'>> {
  return {
    before: ({ event, context }) => log.startInvocation(context, getRequestId(event)),
  };
}

/** API Gateway's own id, which is in its access log; undefined if another service invokes. */
function getRequestId(event: unknown): string | undefined {
  const { requestContext } = (event ?? {}) as { readonly requestContext?: { readonly requestId?: string } };
  return requestContext?.requestId;
}
