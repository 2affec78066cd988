import { RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import { type CfnSecret, type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import type { StageSettings } from './settings/stage-settings.ts';

export type CredentialsProps = Pick<StageSettings, 'spotifySecretArn' | 'supabaseSecretArn'>;

/** The two secrets that the functions read: existing ones, or empty ones that an operator fills in after the first deployment. */
export class Credentials extends Construct {
  /** The Spotify app: `{"client_id": "...", "client_secret": "..."}`. */
  readonly spotify: Secret | ISecret;

  /** The Supabase project: `{"secret_key": "...", "jwt_secret": "..."}`, with `jwt_secret` only if user tokens are HS256. */
  readonly supabase: Secret | ISecret;

  constructor(scope: Construct, id: string, { spotifySecretArn, supabaseSecretArn }: CredentialsProps) {
    super(scope, id);
    this.spotify =
      spotifySecretArn === undefined
        ? createEmptySecret(this, 'Spotify', 'Spotify app: {"client_id": "...", "client_secret": "..."}')
        : Secret.fromSecretCompleteArn(this, 'Spotify', spotifySecretArn);
    this.supabase =
      supabaseSecretArn === undefined
        ? createEmptySecret(
            this,
            'Supabase',
            'Supabase project: {"secret_key": "sb_secret_...", "jwt_secret": "only if user tokens are signed with HS256"}',
          )
        : Secret.fromSecretCompleteArn(this, 'Supabase', supabaseSecretArn);
  }

  grantRead(grantee: IGrantable): void {
    this.spotify.grantRead(grantee);
    this.supabase.grantRead(grantee);
  }
}

/**
 * Creates a secret without a value, and keeps it when the stack is deleted. It does not keep it when the creation fails,
 * which would leave another secret behind each time.
 *
 * `Secret` generates a value unless it is given one, and CloudFormation overwrites the operator's value with a new version
 * whenever `GenerateSecretString` or `SecretString` changes. So the template must have neither.
 */
function createEmptySecret(scope: Construct, id: string, description: string): Secret {
  const secret = new Secret(scope, id, {
    description: `${Stack.of(scope).stackName}, ${description}`,
    removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
  });
  (secret.node.defaultChild as CfnSecret).generateSecretString = undefined;
  Validations.of(secret).acknowledge({
    id: 'AwsSolutions-SMG4',
    reason:
      'Spotify and Supabase issue the value only by hand. The runbook says how to rotate it without an interruption.',
  });
  return secret;
}
