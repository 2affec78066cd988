import type { SecretsReader } from '../../../lambda/adapters/secret.ts';

/** A Secrets Manager that holds one secret. */
export class FakeSecretsManager {
  value: object;
  reads = 0;
  /** Whether reads are never answered. */
  hangs = false;

  constructor(value: object) {
    this.value = value;
  }

  get reader(): SecretsReader {
    return {
      getSecretValue: async () => {
        this.reads += 1;
        if (this.hangs) await new Promise(() => {});
        return JSON.stringify(this.value);
      },
      describeSecret: async () => {},
    };
  }
}
