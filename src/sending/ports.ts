/** What sending/ needs from the rest; server/ provides it. */
import type { Failure } from '../mail/failure.ts';
import type { MakeNotices } from '../notices/contract.ts';
import type { Routes, Target } from '../routing/contract.ts';
import type { CurrentSettings } from '../settings/values.ts';
import type { MessageSource, NewRecipient, QueuedRecipient, QueueStore } from '../storage/contract.ts';
import type { TlsOutcome, TlsPolicies } from '../trust/contract.ts';

/** A queued recipient decided again by today's directory and settings. Never "relaying denied". */
export type Redecision =
  /** `assumedExternal`: a hosted domain sent outward, so hosts that are ourselves must be dropped. */
  | {
      readonly type: 'send';
      readonly target: Target;
      readonly assumedExternal: boolean;
      /** Envelope sender to use in place of the message's own, for forwarded mail. */
      readonly sender?: string;
    }
  /** It goes elsewhere now: local mailboxes, other addresses. */
  | { readonly type: 'expanded'; readonly into: readonly NewRecipient[] }
  | { readonly type: 'failed'; readonly failure: Failure }
  | { readonly type: 'deferred'; readonly failure: Failure };

export type Redecide = (
  recipient: QueuedRecipient,
  source: MessageSource,
  sender: string,
) => Promise<Redecision>;

export interface SenderDependencies {
  /** What TLS servers found by MX must have; absent: what they offer. */
  readonly tlsPolicies?: TlsPolicies;
  /** Told of each session under such a policy. Never throws. */
  readonly observeTls?: (outcome: TlsOutcome) => void;
  readonly store: QueueStore;
  readonly settings: CurrentSettings;
  readonly routes: Routes;
  readonly redecide: Redecide;
  readonly makeNotices: MakeNotices;
  /** Our name in EHLO; a greeting with this name is ourselves. */
  readonly hostname: string;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}
