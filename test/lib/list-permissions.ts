import { expect } from '@jest/globals';
import type { Template } from 'aws-cdk-lib/assertions';
import { removeHashes } from './find-resources.ts';

/** What each role may do, as sentences of action and resource. */
export function listPermissions(template: Template): Record<string, string[]> {
  const permissions = Object.keys(template.findResources('AWS::IAM::Role')).map((roleId) => {
    const statements = Object.values(template.findResources('AWS::IAM::Policy'))
      .map((policy) => policy['Properties'])
      .filter(({ Roles }) => Roles.some((role: { Ref: string }) => role.Ref === roleId))
      .flatMap(({ PolicyDocument }) => PolicyDocument.Statement);
    const sentences = statements.flatMap(({ Effect, Action, Resource, ...conditions }) => {
      expect({ Effect, conditions }).toEqual({ Effect: 'Allow', conditions: {} });
      return [Action]
        .flat()
        .flatMap((action) => [Resource].flat().map((resource) => `${action} on ${nameResource(resource)}`));
    });
    return [removeHashes(roleId), sentences.toSorted()];
  });
  return Object.fromEntries(permissions);
}

/** The logical id that a resource of a policy refers to, or the resource itself when it refers to none. */
function nameResource(resource: Record<string, unknown> | string): string {
  const text = JSON.stringify(resource);
  const id = /^{"Ref":"(\w+)"}$/.exec(text)?.[1] ?? /^{"Fn::GetAtt":\["(\w+)","Arn"\]}$/.exec(text)?.[1];
  const latestOf = /^{"Fn::Join":\["",\[{"Fn::GetAtt":\["(\w+)","Arn"\]},":\$LATEST"\]\]}$/.exec(text)?.[1];
  if (latestOf !== undefined) return `${removeHashes(latestOf)}:$LATEST`;
  const bus = /^{"Fn::Join":\["",\[.*,":(event-bus\/\w+)"\]\]}$/.exec(text)?.[1];
  if (bus !== undefined) return bus;
  return id === undefined ? text : removeHashes(id);
}
