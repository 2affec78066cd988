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
        'permissionsBoundary',
        'bootstrapQualifier',
        'runbookUrl',
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
    const [unnarrowable, ...statements] = [permissions?.['Statement'] ?? []].flat().toReversed();
    // It has no resources, and shows nothing but quotas.
    expect(unnarrowable).toEqual({ Effect: 'Allow', Action: 'lambda:GetAccountSettings', Resource: '*' });
    const allowed = JSON.stringify(statements);
    expect(allowed).not.toMatch(/"(Action|Resource)":\s*"\*"|:\*"/);
  });

  test('gives the role of a stage nothing of a stage whose name goes on from there', () => {
    const patterns = JSON.stringify(policies[1]).match(/SpotifyAuth-prod[^"]*/g) ?? [];
    const generated = [
      'SpotifyAuth-prod-eu/1',
      'SpotifyAuth-prod-eu-RefreshSweeperSweeperFunction-1',
      'SpotifyAuth-prod-eu-RefreshSweeperSchedule-1',
      'SpotifyAuth-prod-eu-AlarmsTopic-1',
    ];

    expect(patterns).toHaveLength(4);
    for (const pattern of patterns) {
      const matches = new RegExp(`^${pattern.replaceAll('*', '.*')}$`);
      expect(generated.filter((name) => matches.test(name))).toEqual([]);
      expect(generated.some((name) => matches.test(name.replace('-eu', '')))).toBe(true);
    }
  });

  test('asks for the migrations before the deployment', () => {
    expect(guide.indexOf('supabase db push')).toBeLessThan(guide.indexOf('npm run deploy'));
  });
});
