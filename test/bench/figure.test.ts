import { describe, expect, test } from '@jest/globals';
import { type Figure, median, reaches } from '../../bench/figure.ts';

const figure: Figure = {
  name: 'throughput',
  baseline: 'the obvious program',
  value: 50,
  unit: '×',
  better: 'more',
  atLeast: 50,
  aimAt: 200,
  measured: '',
};

describe('a figure', () => {
  test('of which more is better reaches a bound from there upwards', () => {
    expect(reaches(figure, 50)).toBe(true);
    expect(reaches(figure, 50.1)).toBe(false);
  });

  test('of which less is better reaches a bound from there downwards', () => {
    expect(reaches({ ...figure, better: 'less' }, 50)).toBe(true);
    expect(reaches({ ...figure, better: 'less' }, 49.9)).toBe(false);
  });
});

test('the median is the value in the middle, whatever the order', () => {
  expect(median([9, 1, 100])).toBe(9);
  expect(() => median([])).toThrow();
});
