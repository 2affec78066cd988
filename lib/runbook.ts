import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

/** A section of docs/runbook.md. */
export interface RunbookSection {
  readonly title: string;

  /** The anchor of its heading, as GitHub and most wikis generate it. */
  readonly anchor: string;

  /** Markdown, the heading included. */
  readonly markdown: string;
}

/** What to do about one alarm. */
export interface AlarmSection extends RunbookSection {
  /** The first thing to do, in plain text. */
  readonly firstStep: string;
}

/** Replacements for the runbook's placeholders, for one stage. */
export interface RunbookPlaces {
  readonly stage: string;

  /** Replacements of `<...>`: outputs of the stack by name. */
  readonly outputs: Readonly<Record<string, string>>;
}

/**
 * docs/runbook.md for one stage: with the stage's own name and addresses in every command, and with the names of
 * sections and files instead of links, which lead nowhere in the AWS console.
 */
export class Runbook {
  /** All sections, in the document's order. The first is the text before the first section heading. */
  readonly sections: readonly RunbookSection[];

  /** @param markdown the document, read from docs/runbook.md by default */
  constructor(places: RunbookPlaces, markdown: string = readDocument()) {
    this.sections = markdown.split(/^(?=## )/m).map((text) => createSection(writeForStage(text, places)));
  }

  /**
   * The section of an alarm: it names the alarm below its heading, as `*Alarm \`SweepFailed\`...*`.
   *
   * @throws Error if there is none, or if it lacks a first step
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
      // CloudWatch's Markdown has code blocks, but without a language.
      .replaceAll(/^( *```)\w+$/gm, '$1')
  );
}

/** A link in words: the name of the section, or the file in the repository. */
function nameTarget(text: string, target: string): string {
  if (/^[a-z]+:/.test(target)) return `[${text}](${target})`;
  if (target.startsWith('#')) return `**${text}**`;
  const path = `\`${posix.join('docs', target)}\``;
  return target.startsWith(text) ? path : `${text} (${path})`;
}
