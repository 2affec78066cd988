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

/** A text of a template, with `<logical id>` or `<pseudo parameter>` where it refers to something. */
export function writeReferences(text: string | { 'Fn::Join': ['', unknown[]] }): string {
  if (typeof text === 'string') return text;
  return text['Fn::Join'][1]
    .map((part) => {
      if (typeof part === 'string') return part;
      const { Ref: ref, 'Fn::GetAtt': attribute, 'Fn::FindInMap': mapped } = part as Record<string, string[]>;
      return `<${ref ?? attribute?.join('.') ?? mapped?.at(-1)}>`;
    })
    .join('');
}

/** Logical ids without the hashes that the CDK ends them with. */
export function removeHashes(text: string): string {
  return text.replace(/[0-9A-F]{8}\b/g, '');
}
