import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

/** A section of docs/runbook.md. */
export interface RunbookSection {
  readonly title: string;

  /** The anchor of its heading, as GitHub and most wikis make it. */
  readonly anchor: string;

  /** Markdown, the heading included. */
  readonly markdown: string;
}

/** What to do about one alarm. */
export interface AlarmSection extends RunbookSection {
  /** What to do before anything else, in plain text. */
  readonly firstStep: string;
}

/** What the runbook leaves open, for one stage. */
export interface RunbookPlaces {
  readonly stage: string;

  /** What stands for `<...>` in it: outputs of the stack by their names. */
  readonly outputs: Readonly<Record<string, string>>;
}

/**
 * docs/runbook.md as one stage reads it: with the stage's own name and addresses in every command, and with the names of
 * sections and files where the document has links, for in the AWS console a link of that kind leads nowhere.
 */
export class Runbook {
  /** All sections, in the document's order. The first is what stands before the first heading of its own. */
  readonly sections: readonly RunbookSection[];

  /** @param markdown the document, read from docs/runbook.md by default */
  constructor(places: RunbookPlaces, markdown: string = readDocument()) {
    this.sections = markdown.split(/^(?=## )/m).map((text) => createSection(writeForStage(text, places)));
  }

  /**
   * The section of an alarm: the one that names it below its heading, as `*Alarm \`SweepFailed\`...*`.
   *
   * @throws Error where there is none, or it does not begin with a first step
   */
  sectionOf(alarm: string): AlarmSection {
    const naming = new RegExp(`^\\*Alarms? .*\`${alarm}\``, 'm');
    const section = this.sections.find(({ markdown }) => naming.test(markdown));
    const [, firstStep] = /^\*\*First step\.\*\* (.+?)\n\n/ms.exec(section?.markdown ?? '') ?? [];
    if (section === undefined || firstStep === undefined) {
      throw new Error(
        `docs/runbook.md: must have a section with "*Alarm \`${alarm}\`" and "**First step.**" below its heading`,
      );
    }
    return { ...section, firstStep: firstStep.replaceAll(/\s+/g, ' ').replaceAll(/[`*]/g, '') };
  }
}

function readDocument(): string {
  return readFileSync(join(import.meta.dirname, '../docs/runbook.md'), 'utf8');
}

function createSection(markdown: string): RunbookSection {
  const [, title = ''] = /^#+ (.+)$/m.exec(markdown) ?? [];
  return { title, anchor: createAnchor(title), markdown: markdown.trim() };
}

function createAnchor(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

function writeForStage(markdown: string, { stage, outputs }: RunbookPlaces): string {
  return (
    markdown
      .replaceAll(/\[([^\]]+)\]\(([^)\s]+)\)/g, (_link, text: string, target: string) =>
        nameTarget(text, target),
      )
      .replaceAll(/(--stage |stage=|SpotifyAuth-)prod\b/g, `$1${stage}`)
      .replaceAll(/<(\w+)>/g, (placeholder, name: string) => outputs[name] ?? placeholder)
      // CloudWatch's Markdown has code blocks, but none of a language.
      .replaceAll(/^( *```)\w+$/gm, '$1')
  );
}

/** A link in words: the section as it is called here, or the file in the repository. */
function nameTarget(text: string, target: string): string {
  if (/^[a-z]+:/.test(target)) return `[${text}](${target})`;
  if (target.startsWith('#')) return `**${text}**`;
  const path = `\`${posix.join('docs', target)}\``;
  return target.startsWith(text) ? path : `${text} (${path})`;
}
