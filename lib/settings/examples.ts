import type { StageSettings } from './stage-settings.ts';

/** What cdk.json has when it is checked out, and the names that are reserved for examples (RFC 2606). */
const EXAMPLE = /^your-[^.]*\.supabase\.co$|(^|\.)(example(\.(com|net|org))?|invalid|test)$/;

/** Settings that every stage has to have, so that they are there as examples first. */
type RequiredSettings = Pick<StageSettings, 'supabaseUrl' | 'allowedOrigins'>;

/** The names of the settings that still hold an example. */
export function findExamples({ supabaseUrl, allowedOrigins }: RequiredSettings): (keyof RequiredSettings)[] {
  const isExample = (address: string) => EXAMPLE.test(new URL(address).hostname);
  return [
    ...(isExample(supabaseUrl) ? ['supabaseUrl' as const] : []),
    ...(allowedOrigins.some(isExample) ? ['allowedOrigins' as const] : []),
  ];
}
