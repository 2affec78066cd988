import type { Template } from 'aws-cdk-lib/assertions';

/** The properties of the function whose logical id begins so. */
export function findFunction(template: Template, idPrefix: string) {
  const functions = Object.entries(template.findResources('AWS::Lambda::Function'));
  return functions.find(([id]) => id.startsWith(idPrefix))?.[1]['Properties'];
}

/** The properties of the one resource of a type. Fails where there is none or more. */
export function findOnly(template: Template, type: string) {
  template.resourceCountIs(type, 1);
  return findProperties(template, type)[0];
}

/** The properties of all resources of a type. */
export function findProperties(template: Template, type: string) {
  return Object.values(template.findResources(type)).map((resource) => resource['Properties']);
}

/** The alarms of a template, by the names that the runbook gives them. */
export function listAlarms(template: Template) {
  return Object.entries(template.findResources('AWS::CloudWatch::Alarm')).map(
    ([id, alarm]) => [removeHashes(id).replace('Alarms', ''), alarm['Properties']] as const,
  );
}

/** Logical ids without the hashes that the CDK ends them with. */
export function removeHashes(text: string): string {
  return text.replace(/[0-9A-F]{8}\b/g, '');
}
