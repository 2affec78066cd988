import * as v from 'valibot';

const oneOrMany = <Schema extends v.GenericSchema>(schema: Schema) => v.union([schema, v.array(schema)]);

const expectedValues = v.optional(v.record(v.string(), oneOrMany(v.string())));

/**
 * The part of IAM's policy language that `access.ts` evaluates. It rejects `NotAction`, `NotResource`, `NotPrincipal` and
 * other condition operators.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
 */
export const policyDocument = v.strictObject({
  Version: v.literal('2012-10-17'),
  Statement: v.array(
    v.strictObject({
      Sid: v.optional(v.string()),
      Effect: v.picklist(['Allow', 'Deny']),
      Principal: v.optional(
        v.union([
          v.literal('*'),
          v.strictObject({
            AWS: v.optional(oneOrMany(v.string())),
            Service: v.optional(oneOrMany(v.string())),
          }),
        ]),
      ),
      Action: oneOrMany(v.string()),
      Resource: v.optional(oneOrMany(v.string())),
      Condition: v.optional(v.strictObject({ StringEquals: expectedValues, Bool: expectedValues })),
    }),
  ),
});

export type PolicyStatement = v.InferOutput<typeof policyDocument>['Statement'][number];
