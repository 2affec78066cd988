/** The values of a resource's `Ref` and `Fn::GetAtt`. */
export interface ResourceIdentity {
  readonly ref: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Everything that a template's intrinsic functions can refer to. */
export interface TemplateScope {
  /** Pseudo parameters, such as `AWS::Region`. */
  readonly pseudoParameters: Readonly<Record<string, string>>;
  /** The template's `Mappings`. */
  readonly mappings: Mappings;
  identify(logicalId: string): ResourceIdentity | undefined;
}

/** Texts by mapping, top-level key and second-level key. */
export type Mappings = Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>>;

/**
 * Resolves CloudFormation's intrinsic functions in a template value.
 *
 * @param at the value's place in the template, for errors
 * @throws on a function that is not implemented here and on a reference to something that does not exist
 * @see https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
 */
export function resolveIntrinsicFunctions(value: unknown, scope: TemplateScope, at: string): unknown {
  if (Array.isArray(value)) {
    return value.map((item, index) => resolveIntrinsicFunctions(item, scope, `${at}[${index}]`));
  }
  if (typeof value !== 'object' || value === null) return value;

  const [first, ...others] = Object.entries(value);
  if (first && others.length === 0 && (first[0] === 'Ref' || first[0].startsWith('Fn::'))) {
    return callFunction(first[0], first[1], scope, at);
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, resolveIntrinsicFunctions(item, scope, `${at}.${key}`)]),
  );
}

function callFunction(name: string, argument: unknown, scope: TemplateScope, at: string): unknown {
  switch (name) {
    case 'Ref':
      return reference(expectString(argument, at), scope, at);
    case 'Fn::GetAtt': {
      const [logicalId, attribute] = expectList(argument, at).map((item) => expectString(item, at));
      return attributeOf(`${logicalId}.${attribute}`, scope, at);
    }
    case 'Fn::Sub':
      return substitute(argument, scope, at);
    case 'Fn::Join': {
      const [separator, items] = expectList(argument, at);
      const texts = expectList(resolveIntrinsicFunctions(items, scope, at), at);
      return texts.map((item) => expectString(item, at)).join(expectString(separator, at));
    }
    case 'Fn::Select': {
      const [index, items] = expectList(argument, at);
      const item = expectList(resolveIntrinsicFunctions(items, scope, at), at)[Number(index)];
      if (item === undefined) throw new Error(`${at}: Fn::Select finds nothing at index ${index}`);
      return item;
    }
    case 'Fn::FindInMap': {
      const [mapping = '', ...keys] = expectList(resolveIntrinsicFunctions(argument, scope, at), at).map(
        (key) => expectString(key, at),
      );
      const value = scope.mappings[mapping]?.[keys[0] ?? '']?.[keys[1] ?? ''];
      if (value === undefined)
        throw new Error(`${at}: Fn::FindInMap finds no ${keys.join('.')} in ${mapping}`);
      return value;
    }
    case 'Fn::Split': {
      const [separator, text] = expectList(argument, at);
      return expectString(resolveIntrinsicFunctions(text, scope, at), at).split(expectString(separator, at));
    }
    default:
      throw new Error(`${at}: ${name} is not implemented on this machine`);
  }
}

function reference(name: string, scope: TemplateScope, at: string): string {
  const value = scope.pseudoParameters[name] ?? scope.identify(name)?.ref;
  if (value === undefined) throw new Error(`${at}: Ref finds no resource or pseudo parameter ${name}`);
  return value;
}

function attributeOf(path: string, scope: TemplateScope, at: string): string {
  const dot = path.indexOf('.');
  const value = scope.identify(path.slice(0, dot))?.attributes[path.slice(dot + 1)];
  if (value === undefined) throw new Error(`${at}: Fn::GetAtt ${path} is not implemented on this machine`);
  return value;
}

function substitute(argument: unknown, scope: TemplateScope, at: string): string {
  const [template, ownVariables] = Array.isArray(argument) ? argument : [argument, {}];
  const variables = Object(resolveIntrinsicFunctions(ownVariables, scope, at));
  return expectString(template, at).replaceAll(/\$\{(!?)([^}]+)\}/g, (_match, escaped, name: string) => {
    if (escaped) return `\${${name}}`;
    if (name in variables) return expectString(variables[name], at);
    return name.includes('.') ? attributeOf(name, scope, at) : reference(name, scope, at);
  });
}

function expectString(value: unknown, at: string): string {
  if (typeof value !== 'string') throw new Error(`${at}: must be a string, got ${JSON.stringify(value)}`);
  return value;
}

function expectList(value: unknown, at: string): unknown[] {
  if (!Array.isArray(value)) throw new Error(`${at}: must be a list, got ${JSON.stringify(value)}`);
  return value;
}
