import { describe, expect, test } from '@jest/globals';
import { ARITHMETIC, evaluateExpression } from '../src/cloudwatch/metric-math.ts';

describe('a metric math expression', () => {
  test.each<[string, Record<string, number | undefined>, number | undefined]>([
    ['100 * errors / requests', { errors: 1, requests: 4 }, 25],
    ['100 * errors / requests', { errors: undefined, requests: 4 }, undefined],
    ['100 * errors / requests', { errors: 1, requests: 0 }, undefined],
    ['100 * (errors - FILL(unknown, 0)) / requests', { errors: 3, unknown: 2, requests: 4 }, 25],
    ['100 * (errors - FILL(unknown, 0)) / requests', { errors: 3, unknown: undefined, requests: 4 }, 75],
    ['FILL(errors, 7)', { errors: undefined }, 7],
  ])('%s of %j is %p', (expression, operands, value) => {
    expect(expression).toMatch(ARITHMETIC);
    expect(evaluateExpression(expression, operands)).toBe(value);
  });

  test.each(['SUM(errors)', 'FILL(errors, REPEAT)', 'process.exit()', 'errors; 1'])(
    '%s is not worked out',
    (expression) => {
      expect(expression).not.toMatch(ARITHMETIC);
    },
  );
});
