/** The operations of the search contract, carried out by each engine. */
import type { QueuedMessage, QueueSelector } from '../contract.ts';
import type { DestinationSummary, FoundPage, MessageQuery, SearchStore } from '../search-contract.ts';
import type { Op, StoredContent } from './operations.ts';

export interface SearchWriteOps {
  /** Makes a slice of the listed messages searchable; resolves to how many there were. */
  indexMessages: Op<{ limit: number }, number>;
  /** Lists a slice of all messages anew, those after a number; resolves to the last one, null at the end. */
  relistMessages: Op<{ after: number }, number | null>;
}

export interface SearchReadOps {
  search: Op<MessageQuery, FoundPage>;
  queueDestinations: Op<{ offset: number; limit: number }, DestinationSummary[]>;
  queueOf: Op<{ destination: string; after: number; limit: number }, QueuedMessage[]>;
  countSelected: Op<
    { selector: QueueSelector; action: Parameters<SearchStore['countSelected']>[1] },
    { recipients: number; messages: number }
  >;
  topReasons: Op<{ limit: number }, { reason: string; count: number }[]>;
  rawSubjects: Op<{ ids: readonly number[] }, string[]>;
  messageSource: Op<{ id: number }, StoredContent | null>;
}
