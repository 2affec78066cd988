import type {
  ConnectionAdministration,
  ConnectionStatistics,
} from '../connection/connection-administration.ts';
import { StoreError } from '../connection/connection-store.ts';
import { describeFailure } from '../connection/operational-error.ts';
import type { ClientCheck } from '../connection/token-endpoint.ts';
import { askAboutClient } from './ask-about-client.ts';

/** The schema version that this code needs: a migration that it needs raises `spotify_auth.schema_version()`. */
export const SCHEMA_VERSION = 1;

/** From this many connections, and this share of all, impossible values are more than users' own doing. */
const LEAST_STORED_VALUES = 5;
const SHARE_OF_STORED_VALUES = 0.01;

/** One requirement of a stage. */
export type Check = {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** The error's code; absent if there was no error. */
  readonly code?: string;
};

/** The adapters of a diagnosis, without values from earlier reads. */
export type DiagnoseDependencies = {
  /** The secrets, by the name of their check. */
  readonly secrets: Readonly<Record<string, { read(): Promise<unknown> }>>;
  readonly administration: Pick<ConnectionAdministration, 'statistics'>;
  readonly clientCheck: ClientCheck;
  /** The facts that the Supabase project publishes about its user tokens. */
  readonly readPublishedTokens: () => Promise<{
    readonly issuer: string | null;
    readonly signingKeys: number;
  }>;
  /** Reads whether this stage has the shared secret that older projects sign user tokens with. */
  readonly hasSharedSecret: () => Promise<boolean>;
  /** The accepted issuers of user tokens. */
  readonly tokenIssuers: readonly string[];
  /** Seconds within which a sweep should have finished after the last one did. */
  readonly longestSweepGapSeconds: number;
};

/** Checks everything that a stage needs besides AWS itself. Changes nothing; rejects only because of a defect. */
export async function diagnose(
  dependencies: DiagnoseDependencies,
): Promise<{ readonly checks: readonly Check[] }> {
  const { secrets, administration, clientCheck, longestSweepGapSeconds } = dependencies;
  const secretChecks = await Promise.all(
    Object.entries(secrets).map(([name, secret]) =>
      check(name, async () => {
        await secret.read();
        return pass('filled in');
      }),
    ),
  );
  let statistics: ConnectionStatistics | null = null;
  let missingMigration: string | null = null;
  const supabase = await check('supabase', async () => {
    try {
      statistics = await administration.statistics();
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'MIGRATION_MISSING') throw error;
      // Supabase itself is fine.
      missingMigration = error.message;
    }
    return pass('reached, and it accepts the key');
  });
  return {
    checks: [
      ...secretChecks,
      supabase,
      await check('user_tokens', () => checkUserTokens(dependencies)),
      checkMigrations(statistics, missingMigration),
      await check('spotify_client', () => askSpotify(clientCheck, statistics)),
      checkLastSweep(statistics, longestSweepGapSeconds),
      checkStoredValues(statistics),
    ],
  };
}

type Finding = Omit<Check, 'name'>;

function pass(detail: string): Finding {
  return { ok: true, detail };
}

function fail(detail: string): Finding {
  return { ok: false, detail };
}

async function check(name: string, look: () => Promise<Finding>): Promise<Check> {
  try {
    return { name, ...(await look()) };
  } catch (error) {
    const { code, reason } = describeFailure(error);
    return { name, ...fail(reason), code };
  }
}

/** With a wrong issuer or key, every user is asked to sign in again, and nothing else shows why. */
async function checkUserTokens({
  readPublishedTokens,
  hasSharedSecret,
  tokenIssuers,
}: DiagnoseDependencies): Promise<Finding> {
  const { issuer, signingKeys } = await readPublishedTokens();
  if (issuer !== null && !tokenIssuers.includes(issuer)) {
    return fail(
      `Supabase issues them as ${issuer}, this stage takes ${tokenIssuers.join(', ')}: set tokenIssuers in cdk.json to ["${issuer}"] and deploy`,
    );
  }
  if (signingKeys === 0 && !(await hasSharedSecret())) {
    return fail(
      'Supabase publishes no signing key, so it signs them with its shared secret: run npm run operate -- fill-secret supabase and add that as "jwt_secret"',
    );
  }
  const issued = issuer === null ? 'Supabase publishes no issuer' : `issued as ${issuer}`;
  return pass(
    `${issued}, ${signingKeys === 0 ? 'signed with the shared secret' : `signing keys: ${signingKeys}`}`,
  );
}

function checkMigrations(statistics: ConnectionStatistics | null, missing: string | null): Check {
  const version = statistics?.schema_version;
  const finding =
    version === undefined
      ? fail(missing ?? 'not known, because Supabase did not answer properly')
      : version < SCHEMA_VERSION
        ? fail(`the schema has version ${version}, this code needs ${SCHEMA_VERSION}: apply migrations`)
        : pass(`schema version ${version}`);
  return { name: 'migrations', ...finding };
}

async function askSpotify(
  clientCheck: ClientCheck,
  statistics: ConnectionStatistics | null,
): Promise<Finding> {
  const notBefore = statistics?.not_before_in ?? null;
  if (notBefore !== null) {
    return fail(`not asked: Spotify allows no calls for another ${Math.ceil(notBefore)} s`);
  }
  const { answer, detail } = await askAboutClient(clientCheck);
  if (answer === 'accepted') {
    return pass(detail);
  }
  return fail(
    answer === 'refused'
      ? `${detail}: compare them with Spotify's dashboard, and run "npm run operate -- fill-secret spotify --stage <stage>"`
      : detail,
  );
}

function checkLastSweep(statistics: ConnectionStatistics | null, longestSweepGapSeconds: number): Check {
  const seconds = statistics?.seconds_since_last_sweep ?? null;
  const finding =
    seconds === null
      ? fail('no sweep has finished yet')
      : (seconds > longestSweepGapSeconds ? fail : pass)(`${Math.round(seconds / 60)} minutes ago`);
  return { name: 'last_sweep', ...finding };
}

/**
 * Checks for stored values from outside that cannot be right. Users do not notice them, but they reveal a bug in the writer.
 * A few are tolerated: users can write such values into their own rows, and must not make a deployment fail.
 */
function checkStoredValues(statistics: ConnectionStatistics | null): Check {
  const {
    implausible_expiries: implausible = 0,
    shared_tokens: shared = 0,
    connected = 0,
  } = statistics ?? {};
  const tolerated = Math.max(LEAST_STORED_VALUES, connected * SHARE_OF_STORED_VALUES);
  const findings = [
    ...(implausible > 0
      ? [
          `${implausible} connections have an impossible expiry: the code that stores their tokens has a bug (time zone, or milliseconds for seconds)`,
        ]
      : []),
    ...(shared > 0
      ? [`${shared} connections share a refresh token: copied, merged or restored profiles`]
      : []),
  ];
  const finding =
    statistics === null
      ? fail('not known, because Supabase did not answer properly')
      : findings.length > 0
        ? (Math.max(implausible, shared) < tolerated ? pass : fail)(findings.join('; '))
        : pass('no impossible expiry, no shared token');
  return { name: 'stored_values', ...finding };
}
