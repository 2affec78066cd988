import type { Stack } from './stack.ts';

/** What is printed where the secrets were left empty: the way from there to a stage that works. */
export function describeEmptySecrets({ supabase, spotifyClient }: Stack): string {
  const fill = (secret: string, value: object) =>
    `echo '${JSON.stringify(value)}' | npm run operate -- fill-secret ${secret} --stage local`;
  return [
    'The secrets are empty, as after a first deployment. In another terminal:',
    '',
    'npm run operate -- doctor --stage local',
    '',
    'It says what is missing and the command for it. What this stack takes:',
    '',
    fill('spotify', spotifyClient),
    fill('supabase', { secret_key: supabase.secretKey, jwt_secret: supabase.jwtSecret }),
    'npm run operate -- sweep --stage local',
    '',
  ].join('\n');
}
