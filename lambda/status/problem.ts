/**
 * An error answer (RFC 9457). Bondhu's frontend shows `detail` to users, so it reveals nothing about
 * the inside.
 */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, title: string, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.headers = headers;
  }
}

/** 400: the path does not name a user. */
export function refuseUserId(): Problem {
  return new Problem(400, 'Bad Request', 'The user id in the path must be a UUID.');
}

/** 401: the bearer token is missing or not valid. */
export function unauthorized(detail: string): Problem {
  return new Problem(401, 'Unauthorized', detail, { 'www-authenticate': 'Bearer' });
}

/** 403: another user's connection, whether or not that user exists. */
export function forbidden(): Problem {
  return new Problem(403, 'Forbidden', "You may only ask about your own account's Spotify connection.");
}

/** 503: the state of the connection is unknown at the moment. */
export function unavailable(): Problem {
  return new Problem(
    503,
    'Service Unavailable',
    'Your Spotify connection cannot be checked right now. Nothing is lost; please try again in a moment.',
    { 'retry-after': '10' },
  );
}
