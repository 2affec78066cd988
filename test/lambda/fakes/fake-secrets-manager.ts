import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

/** A Secrets Manager that holds one secret. */
export class FakeSecretsManager {
  value: object;
  reads = 0;

  constructor(value: object) {
    this.value = value;
  }

  get client(): SecretsManagerClient {
    const send = async () => {
      this.reads += 1;
      return { SecretString: JSON.stringify(this.value) };
    };
    return { send } as unknown as SecretsManagerClient;
  }
}
