import type { StageSettings } from './stage-settings.ts';

/** Settings that name existing resources, which the stack can only use in its own region. */
const SETTINGS = [
  'alarmTopicArn',
  'eventBus',
  'spotifySecretArn',
  'supabaseSecretArn',
  'certificateArn',
] as const;

/**
 * Finds a setting that names a resource in another region.
 *
 * @param regionOfStack undefined if it is not known yet; then the settings are only compared with each other
 * @returns null if all are in one region
 */
export function findSettingElsewhere(
  settings: Pick<StageSettings, (typeof SETTINGS)[number]>,
  regionOfStack: string | undefined,
): { readonly setting: string; readonly problem: string } | null {
  const places = SETTINGS.map((setting) => ({ setting, region: regionOf(settings[setting]) })).filter(
    ({ region }) => region !== undefined,
  );
  const [first] = places;
  const expected = regionOfStack ?? first?.region;
  const elsewhere = places.find(({ region }) => region !== expected);
  if (elsewhere === undefined) return null;
  const reason = regionOfStack === undefined ? `as ${first?.setting} is` : 'in which the stack is deployed';
  return {
    setting: elsewhere.setting,
    problem: `must be in region ${expected}, ${reason}, got ${elsewhere.region}`,
  };
}

/** `arn:<partition>:<service>:<region>:...`; undefined for a plain name. */
function regionOf(nameOrArn = ''): string | undefined {
  return nameOrArn.startsWith('arn:') ? nameOrArn.split(':')[3] : undefined;
}
