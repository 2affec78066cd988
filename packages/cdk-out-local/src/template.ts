import * as v from 'valibot';
import { findAssetDirectory, readStack } from './cdk-out.ts';
import { resolveIntrinsicFunctions, type TemplateScope } from './intrinsic-functions.ts';
import { addPropertiesWithoutEffect, DifferenceList } from './not-simulated.ts';
import { parseOrExplain } from './parse-or-explain.ts';
import {
  type Identity,
  isResourceType,
  type Properties,
  type ResourceType,
  type ResourceTypeDefinition,
  resourceTypes,
  shortHash,
} from './resource-types.ts';

/** A resource of the template, with its intrinsic functions resolved. */
export type Resource<Type extends ResourceType> = Identity<Type> & {
  readonly logicalId: string;
  /** The template's name for it, or a generated one. */
  readonly name: string;
  readonly type: Type;
  readonly properties: Properties<Type>;
};

/** A synthesized stack whose parts are all implemented on this machine. */
export interface StackTemplate {
  readonly stackName: string;
  readonly region: string;
  readonly accountId: string;
  readonly outputs: Readonly<Record<string, string>>;
  /** What this machine does not simulate for the stack's resources, one sentence each. */
  readonly notSimulated: readonly string[];
  resourcesOfType<Type extends ResourceType>(type: Type): readonly Resource<Type>[];
  /** The directory of a function's code, from its `Code.S3Key`. */
  findAssetDirectory(s3Key: string): string;
}

/** `Parameters` and `Rules` are the CDK's check of its bootstrap version, `Conditions` that of its usage metadata. */
const templateSchema = v.strictObject({
  AWSTemplateFormatVersion: v.optional(v.string()),
  Description: v.optional(v.string()),
  Parameters: v.optional(v.strictObject({ BootstrapVersion: v.unknown() })),
  Rules: v.optional(v.strictObject({ CheckBootstrapVersion: v.unknown() })),
  Conditions: v.optional(v.strictObject({ CDKMetadataAvailable: v.unknown() })),
  Mappings: v.optional(v.record(v.string(), v.record(v.string(), v.record(v.string(), v.string()))), {}),
  Resources: v.record(v.string(), v.looseObject({ Type: v.string() })),
  Outputs: v.optional(v.record(v.string(), v.looseObject({ Value: v.unknown() })), {}),
});

const resourceSchema = v.strictObject({
  Type: v.string(),
  Properties: v.optional(v.record(v.string(), v.unknown()), {}),
  DependsOn: v.optional(v.unknown()),
  DeletionPolicy: v.optional(v.string()),
  UpdateReplacePolicy: v.optional(v.string()),
  Metadata: v.optional(v.unknown()),
});

/**
 * Loads the one stack of a `cdk.out` directory.
 *
 * @throws if the directory does not hold exactly one stack, and on any resource type, property, value or
 *   intrinsic function that this machine does not implement, naming it: it never ignores anything silently
 */
export function loadTemplate(cdkOutDirectory: string): StackTemplate {
  const { stackName, region, accountId, ...synthesized } = readStack(cdkOutDirectory);
  const template = parseOrExplain(templateSchema, synthesized.template, stackName);
  const declarations = new Map(
    Object.entries(template.Resources)
      .filter(([, resource]) => resource.Type !== 'AWS::CDK::Metadata')
      .map(([logicalId, resource]) => [logicalId, parseDeclaration(logicalId, resource)]),
  );

  const scope: TemplateScope = {
    pseudoParameters: {
      'AWS::AccountId': accountId,
      'AWS::Partition': 'aws',
      'AWS::Region': region,
      'AWS::StackId': `arn:aws:cloudformation:${region}:${accountId}:stack/${stackName}/local`,
      'AWS::StackName': stackName,
      'AWS::URLSuffix': 'amazonaws.com',
    },
    mappings: template.Mappings,
    identify(logicalId) {
      const declaration = declarations.get(logicalId);
      return declaration && identifyResource(logicalId, declaration);
    },
  };

  function identifyResource(logicalId: string, { type, properties }: Declaration) {
    const { nameProperty, makeUpName, identify } = definitionOf(type);
    const givenName = nameProperty && properties[nameProperty];
    const name = givenName
      ? String(resolveIntrinsicFunctions(givenName, scope, `${logicalId}.${nameProperty}`))
      : (makeUpName?.(logicalId) ?? `${stackName}-${logicalId}-${shortHash(logicalId, 12)}`);
    return { name, ...identify(name, { region, accountId }) };
  }

  const differences = new DifferenceList();
  const resources = [...declarations].map(([logicalId, declaration]) => {
    const { type } = declaration;
    const { properties: schema, limits = [] } = definitionOf(type);
    const at = `${logicalId} (${type})`;
    const resolved = resolveIntrinsicFunctions(declaration.properties, scope, at);
    const properties = parseOrExplain(schema, resolved, at);
    const place = type.replace('AWS::', '');
    for (const limit of limits) differences.add(limit, place);
    addPropertiesWithoutEffect(differences, schema, resolved, place);
    return { logicalId, type, properties, ...identifyResource(logicalId, declaration) };
  });

  return {
    stackName,
    region,
    accountId,
    outputs: Object.fromEntries(
      Object.entries(template.Outputs).map(([name, { Value }]) => [
        name,
        String(resolveIntrinsicFunctions(Value, scope, `output ${name}`)),
      ]),
    ),
    notSimulated: differences.toLines(),
    resourcesOfType: <Type extends ResourceType>(type: Type) =>
      // Parsed above with the schema of its own type.
      resources.filter((resource) => resource.type === type) as unknown as Resource<Type>[],
    findAssetDirectory: (s3Key) => findAssetDirectory(cdkOutDirectory, s3Key),
  };
}

interface Declaration {
  readonly type: ResourceType;
  readonly properties: Readonly<Record<string, unknown>>;
}

function parseDeclaration(logicalId: string, resource: { Type: string }): Declaration {
  const { Type: type } = resource;
  if (!isResourceType(type)) {
    throw new Error(`${logicalId}: resource type ${type} is not implemented on this machine`);
  }
  const { Properties } = parseOrExplain(resourceSchema, resource, `${logicalId} (${type})`);
  return { type, properties: Properties };
}

function definitionOf(type: ResourceType): ResourceTypeDefinition {
  return resourceTypes[type];
}
