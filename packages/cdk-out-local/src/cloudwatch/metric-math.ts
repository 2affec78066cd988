import { createContext, runInContext } from 'node:vm';

/** Without anything that an expression could reach. */
const NOTHING = createContext({});

const NAME = /\b[a-z]\w*/g;

const FILL = /FILL\(\s*([a-z]\w*)\s*,\s*(\d+)\s*\)/g;

/** Arithmetic of numbers, ids and FILL with a number; CloudWatch's other functions are not implemented. */
export const ARITHMETIC = /^(?:FILL\(\s*[a-z]\w*\s*,\s*\d+\s*\)|(?!\w+\s*\()[\w\s.+\-*/()])+$/;

/**
 * Computes one data point of a metric math expression.
 *
 * @param expression matches `ARITHMETIC`
 * @param operands by id; undefined for a missing data point
 * @returns undefined if an operand is missing, and for a division by zero, which gives no data point either
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
 */
export function evaluateExpression(
  expression: string,
  operands: Readonly<Record<string, number | undefined>>,
): number | undefined {
  const filled = expression.replace(FILL, (_, name: string, filler: string) =>
    String(operands[name] ?? filler),
  );
  const names = filled.match(NAME) ?? [];
  if (names.some((name) => operands[name] === undefined)) return undefined;
  const value = Number(
    runInContext(
      filled.replaceAll(NAME, (name) => `(${operands[name]})`),
      NOTHING,
    ),
  );
  return Number.isFinite(value) ? value : undefined;
}
