import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

/** A Secrets Manager that holds one secret. */
export class FakeSecretsManager {
  value: object;
  reads = 0;
  /** Whether reads are never answered. */
  hangs = false;

  constructor(value: object) {
    this.value = value;
  }

  get client(): SecretsManagerClient {
    const send = async () => {
      this.reads += 1;
      if (this.hangs) await new Promise(() => {});
      return { SecretString: JSON.stringify(this.value) };
    };
    return { send } as unknown as SecretsManagerClient;
  }
}
