import type { Stack } from './stack.ts';

/** Printed if the secrets were left empty: how to get from there to a working stage. */
export function describeEmptySecrets({ supabase, spotifyClient }: Stack): string {
  const fill = (secret: string, value: object) =>
    `echo '${JSON.stringify(value)}' | npm run operate -- fill-secret ${secret} --stage local`;
  return [
    'The secrets are empty, as after a first deployment. In another terminal:',
    '',
    'npm run operate -- doctor --stage local',
    '',
    'It shows what is missing, and the command that fixes it. For this stack:',
    '',
    fill('spotify', spotifyClient),
    fill('supabase', { secret_key: supabase.secretKey, jwt_secret: supabase.jwtSecret }),
    'npm run operate -- sweep --stage local',
    '',
  ].join('\n');
}
