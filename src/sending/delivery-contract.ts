/** What a delivery is given and what comes of it. */
import type { Target } from '../routing/contract.ts';
import type { QueuedMessage, QueuedRecipient } from '../storage/contract.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { DeadAddresses } from './dead-addresses.ts';
import type { Verdict } from './judge.ts';
import type { Lanes } from './lanes.ts';
import type { SenderDependencies } from './ports.ts';
import type { SmtpHostWatch } from './smtp-host-watch.ts';

/** What the attempts of one sender share. */
export interface DeliveryContext {
  readonly deps: SenderDependencies;
  readonly pool: ConnectionPool;
  readonly lanes: Lanes;
  readonly watch: SmtpHostWatch;
  readonly dead: DeadAddresses;
  /** Aborted when the server stops and will wait no longer. */
  readonly signal: AbortSignal;
  /** Called before a new connection is opened, to keep their number. */
  readonly makeRoom: () => void;
}

export interface DeliveryWork {
  readonly message: QueuedMessage;
  readonly recipients: readonly QueuedRecipient[];
  /** Under which it stands in the queue. */
  readonly destination: string;
  readonly target: Target;
  readonly assumedExternal: boolean;
  /** Envelope sender to use; '' is the null reverse-path. */
  readonly sender: string;
  /** When the work was taken from the queue, ms of `performance.now()`. */
  readonly takenAt: number;
  /** False when the claim has lapsed, or is about to, and somebody else may be at it. */
  readonly stillOurs: () => boolean;
}

/** What became of one recipient in this attempt. */
export type DeliveryResult =
  | {
      readonly type: 'delivered';
      readonly host: string;
      readonly address: string;
      readonly tls: string | null;
      readonly reply: string;
      /** The server offers DSN and was told what the sender wants to hear. */
      readonly dsnPassedOn: boolean;
    }
  /** Not attempted to the end because the server stops. */
  | { readonly type: 'returned' }
  | Verdict;
