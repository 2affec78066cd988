/** A PostgreSQL error, as both of its drivers for Node report it. */
export interface DatabaseError extends Error {
  /** The SQLSTATE. */
  readonly code: string;
  readonly detail?: string;
  readonly hint?: string;
}

/** PostgREST's answer to an error. */
export interface PostgrestError {
  readonly status: number;
  readonly body: {
    readonly code: string;
    readonly details: string | null;
    readonly hint: string | null;
    readonly message: string;
  };
}

export function isDatabaseError(error: unknown): error is DatabaseError {
  return error instanceof Error && 'code' in error && /^[0-9A-Z]{5}$/.test(String(error.code));
}

/** Translates an error of PostgreSQL raised for a request that ran as `role`. */
export function toPostgrestError(error: DatabaseError, role: string): PostgrestError {
  return {
    status: statusOf(error.code, role),
    body: {
      code: error.code,
      details: error.detail ?? null,
      hint: error.hint ?? null,
      message: error.message,
    },
  };
}

/** @see https://docs.postgrest.org/en/stable/references/errors.html#http-status-codes */
function statusOf(code: string, role: string): number {
  const chosenByRaise = /^PT(\d{3})$/.exec(code);
  if (chosenByRaise) return Number(chosenByRaise[1]);
  return (
    statusOfCode[code === '42501' && role === 'anon' ? '42501 anon' : code] ??
    statusOfClass[code.slice(0, 2)] ??
    400
  );
}

const statusOfCode: Readonly<Record<string, number>> = {
  '23503': 409,
  '23505': 409,
  '25006': 405,
  '42883': 404,
  '42P01': 404,
  '42P17': 500,
  '42501': 403,
  '42501 anon': 401,
  '53400': 500,
  '57P01': 503,
  P0001: 400,
};

const statusOfClass: Readonly<Record<string, number>> = {
  '08': 503,
  '09': 500,
  '0L': 403,
  '0P': 403,
  '25': 500,
  '28': 403,
  '2D': 500,
  '38': 500,
  '39': 500,
  '3B': 500,
  '40': 500,
  '53': 503,
  '54': 413,
  '55': 500,
  '57': 500,
  '58': 500,
  F0: 500,
  HV: 500,
  P0: 500,
  PT: 500,
  XX: 500,
};
