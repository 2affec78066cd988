import type { Caller } from './credentials.ts';
import type { PolicyStatement } from './policy-document.ts';
import type { StackTemplate } from './template.ts';
import { matchesWildcard } from './wildcard.ts';

/** AWS's own three decisions; only `allowed` lets a request through. */
export type AccessDecision = 'allowed' | 'implicitDeny' | 'explicitDeny';

interface AccessRequest {
  readonly action: string;
  readonly resourceArn?: string;
  readonly principal: { readonly AWS?: string; readonly Service?: string };
  /** Values of IAM condition keys, such as `aws:SourceArn`. */
  readonly context: Readonly<Record<string, string>>;
}

/** All calls inside AWS use TLS, whatever this machine does. */
const secureTransport = { 'aws:SecureTransport': 'true' };

/**
 * Evaluates the template's policies as IAM does for a request within one account: those of the calling role
 * and those of the resource. Any Deny wins; otherwise one Allow is enough.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */
export class AccessControl {
  readonly #trust = new Map<string, PolicyStatement[]>();
  readonly #identity = new Map<string, PolicyStatement[]>();
  readonly #resource = new Map<string, PolicyStatement[]>();

  constructor(template: StackTemplate) {
    const policies = template.resourcesOfType('AWS::IAM::Policy');
    for (const role of template.resourcesOfType('AWS::IAM::Role')) {
      const roleArn = role.attributes.Arn;
      const attached = policies.filter(({ properties }) => properties.Roles.includes(role.ref));
      const documents = [
        ...role.properties.Policies.map((inline) => inline.PolicyDocument),
        ...attached.map(({ properties }) => properties.PolicyDocument),
      ];
      this.#trust.set(roleArn, role.properties.AssumeRolePolicyDocument.Statement);
      this.#identity.set(
        roleArn,
        documents.flatMap((document) => document.Statement),
      );
    }
    const queuePolicies = template.resourcesOfType('AWS::SQS::QueuePolicy');
    for (const queue of template.resourcesOfType('AWS::SQS::Queue')) {
      const own = queuePolicies.filter(({ properties }) => properties.Queues.includes(queue.ref));
      this.#resource.set(
        queue.attributes.Arn,
        own.flatMap(({ properties }) => properties.PolicyDocument.Statement),
      );
    }
  }

  /** Whether a role may perform an action on a resource. */
  decide(roleArn: string, action: string, resourceArn: string): AccessDecision {
    const request = { action, resourceArn, principal: { AWS: roleArn }, context: secureTransport };
    return evaluate(
      [
        ...(this.#identity.get(roleArn) ?? []),
        ...(this.#resource.get(resourceArn) ?? []).filter((statement) => isAddressedTo(statement, request)),
      ],
      request,
    );
  }

  isAllowed(roleArn: string, action: string, resourceArn: string): boolean {
    return this.decide(roleArn, action, resourceArn) === 'allowed';
  }

  /**
   * Checks that an AWS service can assume a role.
   *
   * @param context the service's condition keys, such as `aws:SourceArn`
   * @throws if the role is not in the template or does not trust the service
   */
  assertTrusts(roleArn: string, service: string, context: Readonly<Record<string, string>> = {}): void {
    const request = {
      action: 'sts:AssumeRole',
      principal: { Service: service },
      context: { ...secureTransport, ...context },
    };
    const addressed = this.#trust.get(roleArn)?.filter((statement) => isAddressedTo(statement, request));
    if (evaluate(addressed ?? [], request) !== 'allowed') {
      throw new Error(`${service} cannot assume ${roleArn}: its trust policy does not allow that`);
    }
  }
}

/** The services' answer to a caller without permission. */
export function explainDenial(
  decision: Exclude<AccessDecision, 'allowed'>,
  { functionName, roleArn }: Caller,
  action: string,
  resourceArn: string,
): string {
  const assumedRole = `${roleArn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/${functionName}`;
  const reason =
    decision === 'explicitDeny'
      ? 'with an explicit deny in an identity-based policy'
      : `because no identity-based policy allows the ${action} action`;
  return `User: ${assumedRole} is not authorized to perform: ${action} on resource: ${resourceArn} ${reason}`;
}

function evaluate(statements: readonly PolicyStatement[], request: AccessRequest): AccessDecision {
  const effects = statements.filter((statement) => appliesTo(statement, request)).map(({ Effect }) => Effect);
  if (effects.includes('Deny')) return 'explicitDeny';
  return effects.includes('Allow') ? 'allowed' : 'implicitDeny';
}

function appliesTo({ Action, Resource, Condition }: PolicyStatement, request: AccessRequest): boolean {
  const { action, resourceArn, context } = request;
  return (
    // Actions are the only part of IAM policies that ignores case.
    list(Action).some((pattern) => matchesWildcard(pattern.toLowerCase(), action.toLowerCase())) &&
    (resourceArn === undefined || list(Resource).some((pattern) => matchesWildcard(pattern, resourceArn))) &&
    [Condition?.StringEquals, Condition?.Bool].every((expected) => meetsCondition(expected, context))
  );
}

function meetsCondition(
  expected: Readonly<Record<string, string | string[]>> | undefined,
  context: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(expected ?? {}).every(([key, values]) => list(values).includes(context[key] ?? ''));
}

function isAddressedTo({ Principal }: PolicyStatement, { principal }: AccessRequest): boolean {
  if (Principal === undefined) return false;
  if (Principal === '*') return true;
  return (
    list(Principal.AWS).some((arn) => arn === '*' || arn === principal.AWS) ||
    list(Principal.Service).some((service) => service === principal.Service)
  );
}

function list<Value>(oneOrMany: Value | Value[] | undefined): Value[] {
  if (oneOrMany === undefined) return [];
  return Array.isArray(oneOrMany) ? oneOrMany : [oneOrMany];
}
