import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type AnySchema } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';
import type { Answer } from './test-stack.ts';

interface Header {
  readonly required?: boolean;
  readonly schema: AnySchema;
}

interface Response {
  readonly headers?: Readonly<Record<string, Header | { readonly $ref: string }>>;
  readonly content: Readonly<Record<string, { readonly schema: AnySchema }>>;
}

interface Document {
  readonly paths: Readonly<
    Record<string, { readonly get: { readonly responses: Readonly<Record<string, Response>> } }>
  >;
  readonly components: { readonly headers: Readonly<Record<string, Header>> };
}

const file = join(import.meta.dirname, '../../docs/openapi.yaml');
const document: Document = parse(readFileSync(file, 'utf8'));

const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(document as AnySchema, 'openapi', undefined, false);

/** What `docs/openapi.yaml` does not allow about an answer; empty when it is as described. */
export function deviationsOf(answer: Answer, path = '/api/v1/agents/music/status/{user_id}'): string[] {
  const response = document.paths[path]?.get.responses[String(answer.status)];
  if (response === undefined) return [`status ${answer.status} is not described`];
  const contentType = answer.headers.get('content-type') ?? '';
  const content = response.content[contentType];
  if (content === undefined)
    return [`content type ${contentType} is not described for status ${answer.status}`];
  const headers = contentType === 'application/json' && answer.status !== 200 ? {} : (response.headers ?? {});
  return [
    ...violations(content.schema, answer.body, 'body'),
    ...Object.entries(headers).flatMap(([name, header]) => {
      const { required = false, schema } = resolve(header);
      const value = answer.headers.get(name);
      if (value === null) return required ? [`header ${name} is missing`] : [];
      return violations(schema, value, `header ${name}`);
    }),
  ];
}

function resolve(header: Header | { readonly $ref: string }): Header {
  if (!('$ref' in header)) return header;
  const name = header.$ref.replace('#/components/headers/', '');
  const found = document.components.headers[name];
  if (found === undefined) throw new Error(`${header.$ref} does not exist in docs/openapi.yaml`);
  return found;
}

function violations(schema: AnySchema, value: unknown, where: string): string[] {
  const absolute = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/'));
  const validate = ajv.compile(absolute);
  return validate(value)
    ? []
    : (validate.errors ?? []).map((error) => `${where}${error.instancePath}: ${error.message}`);
}
