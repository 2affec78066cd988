import type { StageSettings } from './stage-settings.ts';

/** The addresses in a fresh cdk.json, and the names that are reserved for examples (RFC 2606). */
const EXAMPLE = /^your-[^.]*\.supabase\.co$|(^|\.)(example(\.(com|net|org))?|invalid|test)$/;

/** The settings without a default, which a fresh cdk.json therefore has as examples. */
type RequiredSettings = Pick<StageSettings, 'supabaseUrl' | 'allowedOrigins'>;

/** The names of the settings that are still examples. */
export function findExamples({ supabaseUrl, allowedOrigins }: RequiredSettings): (keyof RequiredSettings)[] {
  const isExample = (address: string) => EXAMPLE.test(new URL(address).hostname);
  return [
    ...(isExample(supabaseUrl) ? ['supabaseUrl' as const] : []),
    ...(allowedOrigins.some(isExample) ? ['allowedOrigins' as const] : []),
  ];
}
