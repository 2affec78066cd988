import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { codeBlocksOf } from './markdown.ts';

type Step = { readonly uses?: string; readonly run?: string; readonly with?: Record<string, unknown> };
type Job = {
  readonly uses?: string;
  readonly with?: Record<string, unknown>;
  readonly needs?: string | readonly string[];
  readonly environment?: string;
  readonly permissions?: Record<string, string>;
  readonly concurrency?: { readonly group: string; readonly 'cancel-in-progress': boolean };
  readonly 'timeout-minutes'?: number;
  readonly steps?: readonly Step[];
};
type Workflow = {
  readonly on: Record<string, unknown>;
  readonly permissions: Record<string, string>;
  readonly jobs: Record<string, Job>;
};

const projectRoot = join(import.meta.dirname, '../..');
const folder = join(projectRoot, '.github/workflows');
const texts = Object.fromEntries(
  readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
);
const workflows: Record<string, Workflow> = Object.fromEntries(
  Object.entries(texts).map(([name, text]) => [name, parse(text)]),
);
const { scripts } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
const { stages } = JSON.parse(readFileSync(join(projectRoot, 'cdk.json'), 'utf8')).context;

const workflow = (name: string) => workflows[name] as Workflow;
const job = (name: string, id: string) => workflow(name).jobs[id] as Job;
const commandsOf = ({ steps = [] }: Job) => steps.flatMap(({ run }) => run ?? []);

describe.each(Object.keys(workflows))('%s', (name) => {
  const jobs = Object.entries(workflow(name).jobs);

  test('gives no job more than it needs, and none but the one that publishes a release a right to write', () => {
    const granted = [['', workflow(name)] as const, ...jobs].flatMap(([id, { permissions }]) =>
      Object.entries(permissions ?? {}).map(([scope, access]) => `${id} ${scope}: ${access}`.trim()),
    );
    const beyond = granted.filter((grant) => !/contents: read$|id-token: write$/.test(grant));
    expect(workflow(name).permissions).toBeDefined();
    expect(beyond).toEqual(name === 'release.yml' ? ['publish contents: write'] : []);
  });

  test('pins each action to a commit, and says which version that is', () => {
    const uses = [...(texts[name] as string).matchAll(/uses: (?!\.\/)(.+)/g)].map(
      ([, action = '']) => action,
    );
    for (const action of uses) expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  test('runs only npm scripts that exist, and calls only workflows that do', () => {
    const named = jobs.flatMap(([, { uses }]) => uses ?? []).map((path) => path.split('/').at(-1) ?? '');
    expect(named.filter((called) => !(called in workflows))).toEqual([]);
    const run = jobs.flatMap(([, definition]) => commandsOf(definition)).join('\n');
    const unknown = [...run.matchAll(/npm run ([\w:-]+)/g)].filter(([, script = '']) => !(script in scripts));
    expect(unknown).toEqual([]);
  });

  test('ends a job that hangs, and puts no input of a run into a command', () => {
    for (const [, definition] of jobs) {
      if (definition.uses === undefined) expect(definition['timeout-minutes']).toBeGreaterThan(0);
      for (const command of commandsOf(definition)) expect(command).not.toContain('${{');
    }
  });
});

test('pull requests are checked, and get no credentials', () => {
  expect(Object.keys(workflow('check.yml').on)).toContain('pull_request');
  expect(commandsOf(job('check.yml', 'check'))).toEqual([
    'npm ci',
    'npm run check',
    'npm test',
    'npm audit --omit=dev --audit-level=high',
    'npm sbom --sbom-format=cyclonedx > sbom.cdx.json',
  ]);
  expect(texts['check.yml']).not.toMatch(/id-token|secrets\.|pull_request_target/);
});

test('the emulator job runs what CONTRIBUTING.md says, and nothing but that, with a pinned emulator', () => {
  const guide = readFileSync(join(projectRoot, 'CONTRIBUTING.md'), 'utf8');
  const section = guide
    .split(/^(?=## )/m)
    .find((part) => part.startsWith('## Deploy to a third-party emulator'));
  const commands = codeBlocksOf(section ?? '', 'sh').flatMap((block) => block.trim().split('\n'));

  expect(commands).toContain('npm run test:emulator');
  expect(commandsOf(job('check.yml', 'emulator'))).toEqual(['npm ci', ...commands]);
  expect(readFileSync(join(projectRoot, 'test/emulator/requirements.txt'), 'utf8')).toMatch(
    /^ministack==\d+\.\d+\.\d+\n$/,
  );
});

test('only the deployments may ask AWS for credentials, and no long-lived key exists', () => {
  const mayAsk = Object.entries(workflows).flatMap(([name, { jobs }]) =>
    Object.entries(jobs)
      .filter(([, { permissions }]) => permissions?.['id-token'] === 'write')
      .map(([id]) => `${name} ${id}`),
  );
  expect(mayAsk).toEqual(['deploy-stage.yml deploy', 'deploy.yml dev', 'deploy.yml prod']);
  expect(Object.values(texts).join()).not.toMatch(/secrets\.|aws-access-key-id/);
});

test('main goes to dev once it is checked, and then to prod; each waits for what its environment asks', () => {
  const { check, dev, prod } = workflow('deploy.yml').jobs;
  expect([check?.needs, dev?.needs, prod?.needs]).toEqual([undefined, 'check', 'dev']);
  for (const [stage, definition] of Object.entries({ dev, prod })) {
    expect(definition?.with).toEqual({ stage });
    expect(stages).toHaveProperty(stage);
  }
  expect(workflow('deploy.yml').on).toEqual({ push: { branches: ['main'] }, workflow_dispatch: null });
  expect(Object.keys(workflow('deploy-stage.yml').on)).toEqual(['workflow_call']);
  expect(job('deploy-stage.yml', 'deploy').environment).toMatch(/^\$\{\{ inputs\.stage \}\}$/);
});

test('what is deployed is what the diff has shown, no deployment is cut off, and doctor looks at it afterwards', () => {
  const deploy = job('deploy-stage.yml', 'deploy');
  expect(commandsOf(deploy)).toEqual([
    'npm ci',
    'npm run synth -- -c stage="$STAGE"',
    'npx cdk diff --app cdk.out',
    'npx cdk deploy --app cdk.out --strict --require-approval never',
    'npm run operate -- doctor --stage "$STAGE"',
  ]);
  expect(deploy.concurrency).toMatchObject({ 'cancel-in-progress': false });
});

test('a tag becomes a release once it is checked; what may write to the repository runs none of its code', () => {
  const { check, make, publish } = workflow('release.yml').jobs;
  expect(workflow('release.yml').on).toEqual({ push: { tags: ['v*'] } });
  expect(check?.uses).toBe('./.github/workflows/check.yml');
  expect(publish?.needs).toEqual(['check', 'make']);
  expect(commandsOf(make as Job)).toEqual(['npm ci', 'npm run release -- "$GITHUB_REF_NAME"']);
  expect(commandsOf(publish as Job)).toEqual([
    'gh release create "$GITHUB_REF_NAME" --verify-tag --title "$GITHUB_REF_NAME" --notes-file release/notes.md release/assets/*',
  ]);
  expect(publish?.steps?.map(({ uses = '' }) => uses.split('@')[0])).toEqual([
    'actions/download-artifact',
    '',
  ]);
});
