/** A missing or malformed environment variable: the deployment is broken, not the request. */
export class EnvironmentError extends Error {
  readonly code = 'ENVIRONMENT_INVALID';

  constructor(name: string, expected: string) {
    super(`environment variable ${name} must be ${expected}`);
    this.name = 'EnvironmentError';
  }
}

/** The environment of the function, read once while it starts. Every method throws an {@link EnvironmentError}. */
export class Environment {
  readonly #variables: NodeJS.ProcessEnv;

  constructor(variables: NodeJS.ProcessEnv) {
    this.#variables = variables;
  }

  /** A text that is not empty. */
  text(name: string): string {
    const value = this.#variables[name];
    if (value === undefined || value === '') {
      throw new EnvironmentError(name, 'set');
    }
    return value;
  }

  /** An absolute http or https address. */
  url(name: string): URL {
    const url = URL.parse(this.text(name));
    if (url === null || !['https:', 'http:'].includes(url.protocol)) {
      throw new EnvironmentError(name, 'an http or https address');
    }
    return url;
  }

  /** A whole number above zero. */
  positiveInteger(name: string): number {
    const value = Number(this.text(name));
    if (!Number.isSafeInteger(value) || value <= 0) {
      throw new EnvironmentError(name, 'a whole number above zero');
    }
    return value;
  }

  /** A whole number above zero, or null where the variable is not set. */
  optionalPositiveInteger(name: string): number | null {
    return this.#variables[name] === undefined ? null : this.positiveInteger(name);
  }
}
