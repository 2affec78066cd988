import * as v from 'valibot';
import type { AwsCaller } from '../../../lambda/adapters/aws-service.ts';

/** A Secrets Manager that holds one secret. */
export class FakeSecretsManager {
  value: object;
  reads = 0;
  /** Whether reads are never answered. */
  hangs = false;

  constructor(value: object) {
    this.value = value;
  }

  get reader(): AwsCaller {
    return {
      call: async (_operation, _input, schema) => {
        this.reads += 1;
        if (this.hangs) await new Promise(() => {});
        return v.parse(schema, { SecretString: JSON.stringify(this.value) });
      },
    };
  }
}
