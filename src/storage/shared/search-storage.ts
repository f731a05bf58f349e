import type { MessageId } from '../../mail/message-id.ts';
import type { BodyReader, QueuedMessage, QueueSelector } from '../contract.ts';
import type * as search from '../search-contract.ts';
import { ContentReader } from './content-reader.ts';
import { SecondFactorStorage } from './second-factor-storage.ts';

/** Messages made searchable in one commit; mail that comes meanwhile waits as long as this takes. */
const INDEX_SLICE = 100;
/** From a commit to the first slice, so that a burst is over before its mail is looked at. */
const INDEX_DELAY_MS = 300;
/** Between two slices, at rest and while mail streams in: mail comes first, and what is searched catches up later. */
const INDEX_PAUSE_MS = 10;
const BUSY_PAUSE_MS = 200;
/** Messages accepted during one pause from which on mail streams in. */
const BUSY_MESSAGES = 50;
/** After trouble with the store. */
const INDEX_RETRY_MS = 5_000;

/** The search contract made of operations, and the job that keeps what is searched up to date. */
export abstract class SearchStorage extends SecondFactorStorage implements search.SearchStore {
  /** Set while the store is only opened to be put right: it then changes nothing of itself afterwards. */
  protected atRest = false;
  #indexTimer: NodeJS.Timeout | undefined;
  #indexing: Promise<void> | null = null;
  #ended = false;
  /** Messages accepted since the last slice. */
  #acceptedSince = 0;

  search(query: search.MessageQuery): Promise<search.FoundPage> {
    return this.read('search', query);
  }

  queueDestinations(request: {
    offset: number;
    limit: number;
  }): Promise<readonly search.DestinationSummary[]> {
    return this.read('queueDestinations', request);
  }

  queueOf(request: {
    destination: string;
    after: MessageId;
    limit: number;
  }): Promise<readonly QueuedMessage[]> {
    return this.read('queueOf', request);
  }

  countSelected(
    selector: QueueSelector,
    action: 'retry' | 'hold' | 'release' | 'delete',
  ): Promise<{ recipients: number; messages: number }> {
    return this.read('countSelected', { selector, action });
  }

  topReasons(limit: number): Promise<readonly { reason: string; count: number }[]> {
    return this.read('topReasons', { limit });
  }

  rawSubjects(ids: readonly MessageId[]): Promise<readonly string[]> {
    return this.read('rawSubjects', { ids });
  }

  async messageSource(id: MessageId): Promise<BodyReader | null> {
    const content = await this.read('messageSource', { id });
    return content === null ? null : new ContentReader((type, input) => this.read(type, input), content);
  }

  async searchable(): Promise<void> {
    await this.#indexing;
    while (!this.#ended && (await this.write('indexMessages', { limit: INDEX_SLICE })) > 0);
  }

  async rebuildSearch(): Promise<void> {
    let after: number | null = 0;
    while (after !== null && !this.#ended) after = await this.write('relistMessages', { after });
    this.indexSoon();
  }

  /** To be called when something was listed to be made searchable. */
  protected indexSoon(delayMs = INDEX_DELAY_MS): void {
    if (this.atRest || this.#ended || this.#indexTimer !== undefined || this.#indexing !== null) return;
    const timer = setTimeout(() => {
      this.#indexTimer = undefined;
      this.#indexing = this.#indexSlice();
    }, delayMs);
    this.#indexTimer = timer.unref();
  }

  async #indexSlice(): Promise<void> {
    let pauseMs: number | null = null;
    try {
      const done = await this.write('indexMessages', { limit: INDEX_SLICE });
      if (done > 0) pauseMs = done === INDEX_SLICE ? this.#pauseMs() : INDEX_DELAY_MS;
    } catch {
      // The alarm tells why; what is listed stays listed.
      pauseMs = INDEX_RETRY_MS;
    }
    this.#indexing = null;
    if (pauseMs !== null) this.indexSoon(pauseMs);
  }

  #pauseMs(): number {
    const busy = this.#acceptedSince >= BUSY_MESSAGES;
    this.#acceptedSince = 0;
    return busy ? BUSY_PAUSE_MS : INDEX_PAUSE_MS;
  }

  /** To be called for each message accepted. */
  protected noteAccepted(): void {
    this.#acceptedSince++;
  }

  /** No slice begins any more; resolves when none runs. */
  protected async endIndexing(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#indexTimer);
    await this.#indexing;
  }
}
