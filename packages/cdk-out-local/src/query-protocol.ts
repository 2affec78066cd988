/** The content of an answer in AWS's Query protocol. */
export type QueryValue = string | number | readonly QueryValue[] | { readonly [name: string]: QueryValue };

/**
 * An answer of AWS's Query protocol.
 *
 * @see https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
 */
export function queryAnswer(action: string, result: QueryValue): string {
  return element(`${action}Response`, { [`${action}Result`]: result });
}

/** An error of AWS's Query protocol. */
export function queryError(code: string, message: string): string {
  return element('ErrorResponse', { Error: { Type: 'Sender', Code: code, Message: message } });
}

function element(name: string, value: QueryValue): string {
  return `<${name}>${contentOf(value)}</${name}>`;
}

function contentOf(value: QueryValue): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') {
    return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  }
  return Array.isArray(value)
    ? value.map((member) => element('member', member)).join('')
    : Object.entries(value)
        .map(([name, member]) => element(name, member))
        .join('');
}
