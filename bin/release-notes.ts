/** What keeps a tag from becoming a release, in one line that says what to do. */
export class ReleaseError extends Error {
  override readonly name = 'ReleaseError';
}

/** What a release is made from. */
export interface ReleaseSources {
  /** As it was pushed, such as `v1.2.3`. */
  readonly tag: string;
  /** The versions in package.json files, by their paths. */
  readonly versions: Readonly<Record<string, string>>;
  /** The text of CHANGELOG.md. */
  readonly changelog: string;
  /** Where the files of the tag can be read, without a slash at the end; links of the changelog lead there. */
  readonly filesUrl: string;
}

/**
 * The notes of a release: the section of CHANGELOG.md about its version.
 *
 * @returns Markdown as GitHub takes it for a release, where a line break is one
 * @throws ReleaseError where tag, versions and changelog are not about the same version
 */
export function createReleaseNotes({ tag, versions, changelog, filesUrl }: ReleaseSources): string {
  const [, version] = /^v(\d+\.\d+\.\d+(?:-[\w.]+)?)$/.exec(tag) ?? [];
  if (version === undefined) throw new ReleaseError(`a release is tagged as v1.2.3, got "${tag}"`);
  for (const [path, found] of Object.entries(versions)) {
    if (found !== version) {
      throw new ReleaseError(
        `${path} has version ${found}, the tag is ${tag}: make them the same, and tag again`,
      );
    }
  }
  return writeForGitHub(findSection(changelog, version), filesUrl);
}

function findSection(changelog: string, version: string): string {
  const section = changelog.split(/^## /m).find((text) => text.startsWith(`[${version}] - `));
  if (section === undefined) {
    throw new ReleaseError(
      `CHANGELOG.md has no section "## [${version}] - <year>-<month>-<day>": write it, and tag again`,
    );
  }
  const text = section.slice(section.indexOf('\n')).trim();
  if (text === '')
    throw new ReleaseError(`CHANGELOG.md says nothing about ${version}: write it, and tag again`);
  return text;
}

function writeForGitHub(markdown: string, filesUrl: string): string {
  return markdown
    .replaceAll(/\]\((?![a-z]+:)([^)\s]+)\)/g, (_link, path: string) => `](${filesUrl}/${path})`)
    .replaceAll(/\n {2}(?=[^\s*-])/g, ' ');
}
