import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import * as v from 'valibot';
import { type AccessControl, explainDenial } from './access.ts';
import type { Caller, CredentialIssuer } from './credentials.ts';
import type { OnLog } from './invocation.ts';
import { type JsonAnswer, JsonServer } from './json-server.ts';
import type { StackTemplate } from './template.ts';

export interface EventBridgeOptions {
  readonly template: StackTemplate;
  readonly access: AccessControl;
  readonly credentials: CredentialIssuer;
  /** Receives every event that the bus accepted, as one line. */
  readonly onLog: OnLog;
}

/** The faults that EventBridge should have from now on. */
export interface EventBridgeTrouble {
  /** Every call fails with an internal error. */
  readonly isFailing?: boolean;
  /** Every call is answered, and rejects every entry temporarily. */
  readonly isThrottling?: boolean;
}

/** An event as rule targets see it. */
export interface BusEvent {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type': string;
  readonly source: string;
  readonly account: string;
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: unknown;
}

const putEventsEntry = v.strictObject({
  Detail: v.optional(v.string(), ''),
  DetailType: v.optional(v.string(), ''),
  EventBusName: v.optional(v.string(), 'default'),
  Source: v.optional(v.string(), ''),
});

type Entry = v.InferOutput<typeof putEventsEntry>;

const putEventsInput = v.strictObject({
  Entries: v.pipe(v.array(putEventsEntry), v.minLength(1), v.maxLength(10)),
});

const describeEventBusInput = v.strictObject({ Name: v.optional(v.string(), 'default') });

const jsonObject = v.pipe(
  v.string(),
  v.parseJson(),
  v.check((value) => !Array.isArray(value)),
  v.record(v.string(), v.unknown()),
);

/** The limit for all entries of a call together. */
const MAXIMUM_BYTES = 1024 * 1024;

/**
 * EventBridge's `PutEvents` and `DescribeEventBus` over HTTP. The access key identifies the caller, who may do what the
 * role's policies allow. There is one bus, the account's default one, and no rule: it keeps and logs every event.
 * As on AWS, it accepts and drops an event for a bus that does not exist.
 *
 * @see https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
 * @see https://github.com/aws/aws-sdk/issues/186
 */
export class EventBridge {
  readonly #template: StackTemplate;
  readonly #access: AccessControl;
  readonly #credentials: CredentialIssuer;
  readonly #onLog: OnLog;
  readonly #events: BusEvent[] = [];
  #trouble: EventBridgeTrouble = {};
  #server!: JsonServer;

  static async start(options: EventBridgeOptions): Promise<EventBridge> {
    const service = new EventBridge(options);
    service.#server = await JsonServer.start({
      version: '1.1',
      answer: (input, headers) => service.#answer(input, headers),
    });
    return service;
  }

  private constructor({ template, access, credentials, onLog }: EventBridgeOptions) {
    this.#template = template;
    this.#access = access;
    this.#credentials = credentials;
    this.#onLog = onLog;
  }

  get url(): string {
    return this.#server.url;
  }

  /** The accepted events, oldest first. */
  get events(): readonly BusEvent[] {
    return this.#events;
  }

  makeTrouble(trouble: EventBridgeTrouble): void {
    this.#trouble = trouble;
  }

  /** @param nameOrArn of a bus @returns the ARN that it would have */
  busArnOf(nameOrArn: string): string {
    const { region, accountId } = this.#template;
    return nameOrArn.startsWith('arn:')
      ? nameOrArn
      : `arn:aws:events:${region}:${accountId}:event-bus/${nameOrArn}`;
  }

  /** Whether a bus of that name or ARN exists. */
  isBus(nameOrArn: string): boolean {
    return this.busArnOf(nameOrArn) === this.busArnOf('default');
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  #answer(input: unknown, headers: IncomingHttpHeaders): JsonAnswer {
    if (this.#trouble.isFailing) return failure('InternalException', 'An internal error occurred.', 500);

    const caller = this.#credentials.findCaller(headers.authorization);
    if (!caller) {
      return failure('UnrecognizedClientException', 'The security token included in the request is invalid.');
    }
    switch (headers['x-amz-target']) {
      case 'AWSEvents.PutEvents':
        return this.#putEvents(input, caller);
      case 'AWSEvents.DescribeEventBus':
        return this.#describeEventBus(input, caller);
      default:
        return failure(
          'UnknownOperationException',
          'only PutEvents and DescribeEventBus are implemented on this machine',
        );
    }
  }

  #describeEventBus(input: unknown, caller: Caller): JsonAnswer {
    const parsed = v.safeParse(describeEventBusInput, input);
    if (!parsed.success) return failure('ValidationException', v.summarize(parsed.issues));
    const { Name } = parsed.output;
    const denial = this.#denialOf(caller, 'events:DescribeEventBus', Name);
    if (denial) return denial;
    return this.isBus(Name)
      ? { status: 200, body: { Arn: this.busArnOf(Name), Name: 'default' } }
      : failure('ResourceNotFoundException', `Event bus ${Name} does not exist.`);
  }

  #putEvents(input: unknown, caller: Caller): JsonAnswer {
    const parsed = v.safeParse(putEventsInput, input);
    if (!parsed.success) return failure('ValidationException', v.summarize(parsed.issues));
    const { Entries } = parsed.output;
    if (Entries.reduce((total, entry) => total + sizeOf(entry), 0) > MAXIMUM_BYTES) {
      return failure('ValidationException', 'Total size of the entries in the request is over the limit.');
    }
    for (const { EventBusName } of Entries) {
      const denial = this.#denialOf(caller, 'events:PutEvents', EventBusName);
      if (denial) return denial;
    }
    const results = Entries.map((entry) => this.#put(entry));
    return {
      status: 200,
      body: {
        FailedEntryCount: results.filter((result) => 'ErrorCode' in result).length,
        Entries: results,
      },
    };
  }

  /** @returns undefined if the caller has the permission */
  #denialOf(caller: Caller, action: string, nameOrArn: string): JsonAnswer | undefined {
    const busArn = this.busArnOf(nameOrArn);
    const decision = this.#access.decide(caller.roleArn, action, busArn);
    return decision === 'allowed'
      ? undefined
      : failure('AccessDeniedException', explainDenial(decision, caller, action, busArn));
  }

  #put({ Detail, DetailType, EventBusName, Source }: Entry) {
    if (this.#trouble.isThrottling) return entryFailure('ThrottlingException', 'Rate exceeded');
    for (const [name, value] of Object.entries({ Source, DetailType, Detail })) {
      if (value === '') {
        return entryFailure(
          'InvalidArgument',
          `Parameter ${name} is not valid. Reason: ${name} is a required argument.`,
        );
      }
    }
    if (Source.startsWith('aws.')) {
      return entryFailure('NotAuthorizedForSourceException', 'Not authorized for the source.');
    }
    const detail = v.safeParse(jsonObject, Detail);
    if (!detail.success) return entryFailure('MalformedDetail', 'Detail is malformed.');

    const { accountId: account, region } = this.#template;
    const id = randomUUID();
    if (this.isBus(EventBusName)) {
      const event: BusEvent = {
        version: '0',
        id,
        'detail-type': DetailType,
        source: Source,
        account,
        time: new Date().toISOString().replace(/\.\d{3}Z$/, 'Z'),
        region,
        resources: [],
        detail: detail.output,
      };
      this.#events.push(event);
      this.#onLog('EventBridge', JSON.stringify(event));
    }
    return { EventId: id };
  }
}

/** @see https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html */
function sizeOf({ Detail, DetailType, Source }: Entry): number {
  return [Detail, DetailType, Source].reduce((total, text) => total + Buffer.byteLength(text), 0);
}

function entryFailure(code: string, message: string) {
  return { ErrorCode: code, ErrorMessage: message };
}

function failure(type: string, message: string, status = 400): JsonAnswer {
  return { status, body: { __type: type, message } };
}
