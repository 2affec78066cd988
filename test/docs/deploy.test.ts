import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseStageConfiguration } from '../../lib/stage-configuration.ts';
import { codeBlocksOf } from './markdown.ts';

const guide = readFileSync(join(import.meta.dirname, '../../docs/deploy.md'), 'utf8');
const examples: Record<string, unknown>[] = codeBlocksOf(guide, 'json').map((block) => JSON.parse(block));
const policies = examples.filter((example) => 'Statement' in example);
const settings = examples.filter((example) => !('Statement' in example));

const required = {
  supabaseUrl: 'https://project.supabase.co',
  allowedOrigins: ['https://app.example.com'],
};

describe('the deployment guide', () => {
  test.each(settings)('shows settings that are accepted: %j', (example) => {
    const configuration = parseStageConfiguration('prod', { prod: { ...required, ...example } });
    expect(configuration).toMatchObject(example);
  });

  test('shows every setting that a platform brings along', () => {
    const shown = settings.flatMap((example) => Object.keys(example));
    expect(shown).toEqual(
      expect.arrayContaining([
        'alarmEmail',
        'alarmTopicArn',
        'eventBus',
        'spotifySecretArn',
        'supabaseSecretArn',
        'tags',
        'terminationProtection',
        'domainName',
        'certificateArn',
      ]),
    );
  });

  test('lets only jobs of one repository in one environment deploy, and them no more than that', () => {
    const [trust, permissions] = policies;
    const audience = 'token.actions.githubusercontent.com:aud';
    const subject = 'token.actions.githubusercontent.com:sub';
    expect(trust).toMatchObject({
      Statement: [
        {
          Action: 'sts:AssumeRoleWithWebIdentity',
          Condition: {
            StringEquals: {
              [audience]: 'sts.amazonaws.com',
              [subject]: expect.stringMatching(/^repo:[^*]+:environment:prod$/),
            },
          },
        },
      ],
    });
    const allowed = JSON.stringify(permissions);
    expect(allowed).not.toMatch(/"(Action|Resource)":\s*"\*"|:\*"/);
  });

  test('asks for the migrations before the deployment', () => {
    expect(guide.indexOf('supabase db push')).toBeLessThan(guide.indexOf('npm run deploy'));
  });
});
