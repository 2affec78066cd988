import type { MiddlewareObj } from '@middy/core';
import type { PowertoolsLog } from '../adapters/powertools-log.ts';

/**
 * Puts the ids of each invocation, and whether it is the first of its instance, on every line of the log. Metrics need
 * nothing like it: each is written at once, because an invocation that is killed a moment later has to be counted.
 */
export function logInvocations(log: PowertoolsLog): Required<Pick<MiddlewareObj, 'before'>> {
  return {
    before: ({ event, context }) => log.startInvocation(context, getRequestId(event)),
  };
}

/** API Gateway's own, by which its access log is found; undefined where something else invokes. */
function getRequestId(event: unknown): string | undefined {
  const { requestContext } = (event ?? {}) as { readonly requestContext?: { readonly requestId?: string } };
  return requestContext?.requestId;
}
