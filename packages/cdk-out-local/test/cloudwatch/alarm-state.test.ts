import { describe, expect, test } from '@jest/globals';
import { type AlarmState, decideState, evaluationRangeOf } from '../../src/cloudwatch/alarm-state.ts';

/** What a cell of CloudWatch's tables says; `retained`: the state that the alarm was in. */
type Cell = AlarmState | 'retained';

const TREATMENTS = ['missing', 'ignore', 'breaching', 'notBreaching'] as const;
const STATES = ['OK', 'ALARM', 'INSUFFICIENT_DATA'] as const;

/** Data points as CloudWatch's page writes them: 0 does not breach, X does, - is missing; the oldest first. */
function parse(datapoints: string): (boolean | undefined)[] {
  return datapoints.split(' ').map((symbol) => ({ '0': false, X: true })[symbol]);
}

function expectRow(datapoints: string, datapointsToAlarm: number, cells: readonly Cell[]): void {
  for (const [index, treatment] of TREATMENTS.entries()) {
    const rule = {
      EvaluationPeriods: 3,
      DatapointsToAlarm: datapointsToAlarm,
      TreatMissingData: treatment,
    };
    const decided = STATES.map((current) => decideState(parse(datapoints), rule, current));
    const expected = STATES.map((current) => (cells[index] === 'retained' ? current : cells[index]));
    expect([treatment, decided]).toEqual([treatment, expected]);
  }
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html, row by row.
describe("the tables of CloudWatch's page on missing data", () => {
  test('three periods are evaluated over a range of five', () => {
    expect(evaluationRangeOf({ EvaluationPeriods: 3 })).toBe(5);
  });

  test.each<[string, Cell[]]>([
    ['0 - X - X', ['OK', 'OK', 'OK', 'OK']],
    ['0 - - - -', ['OK', 'OK', 'OK', 'OK']],
    ['- - - - -', ['INSUFFICIENT_DATA', 'retained', 'ALARM', 'OK']],
    ['0 X X - X', ['ALARM', 'ALARM', 'ALARM', 'ALARM']],
    ['- - X - -', ['ALARM', 'retained', 'ALARM', 'OK']],
  ])('3 of 3: %s', (datapoints, cells) => expectRow(datapoints, 3, cells));

  test.each<[string, Cell[]]>([
    ['0 - X - X', ['ALARM', 'ALARM', 'ALARM', 'ALARM']],
    ['0 0 X 0 X', ['ALARM', 'ALARM', 'ALARM', 'ALARM']],
    ['0 - X - -', ['OK', 'OK', 'ALARM', 'OK']],
    ['- - - - 0', ['OK', 'OK', 'ALARM', 'OK']],
    ['- - - X -', ['ALARM', 'retained', 'ALARM', 'OK']],
  ])('2 of 3: %s', (datapoints, cells) => expectRow(datapoints, 2, cells));

  test.each(['- - - - X', '- - - X -', '- - - X 0', '- - X - 0'])(
    '3 of 3, no premature alarm: %s',
    (datapoints) => {
      const rule = { EvaluationPeriods: 3, TreatMissingData: 'missing' } as const;
      expect(decideState(parse(datapoints), rule, 'OK')).toBe('OK');
    },
  );
});

describe('an alarm on one data point whose gaps are ignored', () => {
  const rule = { EvaluationPeriods: 1, TreatMissingData: 'ignore' } as const;

  test.each<[string, Cell]>([
    ['- - X', 'ALARM'],
    ['X 0 -', 'OK'],
    ['- - -', 'retained'],
  ])('%s', (datapoints, cell) => {
    const decided = STATES.map((current) => decideState(parse(datapoints), rule, current));
    expect(decided).toEqual(STATES.map((current) => (cell === 'retained' ? current : cell)));
  });
});
