/**
 * Finding messages and looking over the queue. What is searched trails `accept` by a second or two: it is filled
 * beside the mail, from a list of messages to be looked at that `accept` writes. Times are ms since 1970.
 */
import type { MessageId } from '../mail/message-id.ts';
import type { BodyReader, QueuedMessage, QueueSelector, RecipientState } from './contract.ts';

/** `waiting`: something is still to be sent; `held`: all that is left is held; `failed`: some recipient failed. */
export type FoundState = 'waiting' | 'held' | 'delivered' | 'failed' | 'deleted';

/** The start of an address (lower case), or every address of a domain. */
export type AddressWanted = { readonly prefix: string } | { readonly domain: string };

/** Newest first: time of receipt, then number. */
export interface FoundPosition {
  readonly at: number;
  readonly id: MessageId;
}

export interface MessageQuery {
  readonly sender?: AddressWanted;
  readonly recipient?: AddressWanted;
  /** Words of the subject as `subjectWords` gives them; all must be there. */
  readonly words?: readonly string[];
  readonly state?: FoundState;
  /** Received at or after, and before. */
  readonly since?: number;
  readonly until?: number;
  /** Only older ones than this. */
  readonly after?: FoundPosition;
  readonly limit: number;
}

export interface FoundMessage {
  readonly id: MessageId;
  readonly receivedAt: number;
  readonly sender: string;
  /** As it stands in the header, unfolded; `decodeSubject` makes it readable. */
  readonly rawSubject: string;
  readonly sizeBytes: number;
  readonly state: FoundState;
  /** The first `SHOWN_RECIPIENTS`. */
  readonly recipients: readonly { readonly address: string; readonly state: RecipientState }[];
  readonly recipientCount: number;
}

export const SHOWN_RECIPIENTS = 10;
/** Candidates one call looks at; a page that reaches this ends early and says so. */
export const SEARCH_CANDIDATES = 10_000;
/** Up to so many matches of a prefix are sorted; with more, messages are walked through by time. */
export const PREFIX_MATCHES = 2_000;

export interface FoundPage {
  readonly rows: readonly FoundMessage[];
  /** Where to go on; null when everything was looked at. */
  readonly next: FoundPosition | null;
  /** Set when the page ended because too many candidates did not fit. */
  readonly endedEarly: boolean;
}

export interface DestinationSummary {
  readonly destination: string;
  readonly waiting: number;
  readonly sending: number;
  readonly held: number;
  readonly oldestAt: number | null;
  readonly nextAttemptAt: number | null;
  /** Of its oldest message. */
  readonly lastReply: string | null;
}

export interface SearchStore {
  search(query: MessageQuery): Promise<FoundPage>;
  /** All, the fullest first; `limit` at most from `offset` on. */
  queueDestinations(request: { offset: number; limit: number }): Promise<readonly DestinationSummary[]>;
  /** Messages with something waiting at a destination, the longest waiting first; those recipients only. */
  queueOf(request: {
    destination: string;
    after: MessageId;
    limit: number;
  }): Promise<readonly QueuedMessage[]>;
  /** What an action would touch: `held` ones for release, waiting ones for retry and hold, both for delete. */
  countSelected(
    selector: QueueSelector,
    action: 'retry' | 'hold' | 'release' | 'delete',
  ): Promise<{ recipients: number; messages: number }>;
  /** The reasons most given for what waits now, among the latest attempts. */
  topReasons(limit: number): Promise<readonly { readonly reason: string; readonly count: number }[]>;
  /** The header line of the subject as kept, '' without one; null when there is no such message. */
  rawSubjects(ids: readonly MessageId[]): Promise<readonly string[]>;
  /** Header lines of ours and the body, as long as somebody has it; null afterwards. */
  messageSource(id: MessageId): Promise<BodyReader | null>;
  /** Waits until everything accepted so far can be found. */
  searchable(): Promise<void>;
  /** Fills what is searched anew; resolves when it is listed to be done. */
  rebuildSearch(): Promise<void>;
}
