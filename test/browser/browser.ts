import { existsSync, realpathSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const SYSTEM_PATHS = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** For a browser that may run as root, has no graphics card and calls nobody. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Where a browser is, and what its process needs in its environment. */
export interface FoundBrowser {
  /** Where it comes from, for people. */
  readonly origin: string;
  readonly executablePath: string;
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Finds every Chromium: the one that `CHROMIUM_PATH` names, else those of the system, and the one of the npm package
 * `@sparticuz/chromium`, which is unpacked. They differ: a full one asks for more of a page than a headless one.
 *
 * @param directory takes what is unpacked: about 220 MB
 * @returns none where there is none, which can only be elsewhere than on Linux x64
 */
export async function findBrowsers(directory: string): Promise<readonly FoundBrowser[]> {
  const hasPackage = process.platform === 'linux' && process.arch === 'x64';
  return [...listInstalledBrowsers(), ...(hasPackage ? [await unpackBrowser(directory)] : [])];
}

/** Finds one as {@link findBrowsers} does, and unpacks nothing where one is installed. @returns null where there is none */
export async function findBrowser(directory: string): Promise<FoundBrowser | null> {
  return listInstalledBrowsers()[0] ?? (await findBrowsers(directory))[0] ?? null;
}

function listInstalledBrowsers(): readonly FoundBrowser[] {
  const { CHROMIUM_PATH: named } = process.env;
  const paths = named === undefined ? SYSTEM_PATHS.filter((path) => existsSync(path)) : [named];
  // Some are links to others.
  const programs = new Map(paths.map((path) => [existsSync(path) ? realpathSync(path) : path, path]));
  return [...programs.values()].map((path) => ({ origin: path, executablePath: path, environment: {} }));
}

export function launchBrowser({ executablePath, environment }: FoundBrowser): Promise<Browser> {
  return chromium.launch({ executablePath, args: FLAGS, env: { ...process.env, ...environment } });
}

async function unpackBrowser(directory: string): Promise<FoundBrowser> {
  const { inflate } = await import('@sparticuz/chromium');
  const archives = join(createRequire(import.meta.url).resolve('@sparticuz/chromium'), '../../bin');
  // The package unpacks into the folder for temporary files, where it takes what half an earlier run has left for whole.
  const { TMPDIR: temporaryDirectory } = process.env;
  process.env['TMPDIR'] = directory;
  try {
    await Promise.all(
      ['chromium.br', 'al2023.tar.br', 'fonts.tar.br'].map((archive) => inflate(join(archives, archive))),
    );
  } finally {
    if (temporaryDirectory === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = temporaryDirectory;
  }
  const fontConfiguration = join(directory, 'fonts.conf');
  await writeFile(fontConfiguration, fontconfig(directory));
  return {
    origin: '@sparticuz/chromium',
    executablePath: join(directory, 'chromium'),
    // Libraries and a font that a bare system lacks.
    environment: {
      LD_LIBRARY_PATH: join(directory, 'al2023/lib'),
      FONTCONFIG_FILE: fontConfiguration,
    },
  };
}

/** The system's fonts, and the package's own as the one for text. */
function fontconfig(directory: string): string {
  const alias = (family: string) =>
    `<alias binding="strong"><family>${family}</family><prefer><family>Open Sans</family></prefer></alias>`;
  return `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>${directory}/fonts</dir>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <cachedir>${directory}/fonts-cache</cachedir>
  ${['system-ui', 'sans-serif'].map(alias).join('\n  ')}
</fontconfig>
`;
}
