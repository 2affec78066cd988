/**
 * jest runs tests in a context of their own, whose `Error` and `TypeError` are not the ones that node's fetch and
 * sockets throw. The functions run where there is only one of each; with this, so do the tests.
 */
export function recogniseErrorsOfNode(): void {
  recognise(Error, () => true);
  recognise(TypeError, (error) => error.name === 'TypeError');
}

function recognise(errorClass: ErrorConstructor, matches: (error: Error) => boolean): void {
  Object.defineProperty(errorClass, Symbol.hasInstance, {
    configurable: true,
    value(this: unknown, value: unknown) {
      return this === errorClass && isError(value)
        ? matches(value)
        : Function.prototype[Symbol.hasInstance].call(this, value);
    },
  });
}

function isError(value: unknown): value is Error {
  return (Error as ErrorConstructor & { isError(value: unknown): boolean }).isError(value);
}
