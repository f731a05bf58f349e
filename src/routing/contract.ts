import type { Answer, MxRecord } from '../dns/contract.ts';
import type { RuleTls } from '../settings/destination-rules.ts';
import type { RouteFailureKind, Settings, SmtpHost } from '../settings/values.ts';

/** One server to try, with the addresses that may be dialled, in the order to try them. */
export interface RouteHost {
  readonly name: string;
  readonly port: number;
  /** MX preference; null for implicit MX, literals, SMTP host and forward hosts. */
  readonly preference: number | null;
  readonly addresses: readonly string[];
  /** Addresses found and not to be dialled, each with the reason (private range, ourselves, no answer). */
  readonly rejected: readonly { readonly address: string; readonly reason: string }[];
  /** Its credentials and TLS mode, where the route is by SMTP hosts. */
  readonly smtpHost?: SmtpHost;
}

/** Why there is no host to dial. `null-mx` is a definite no (RFC 7505) and never falls back. */
export interface RouteFailure {
  readonly kind:
    | RouteFailureKind
    | 'null-mx'
    | 'smtp-host-unresolved'
    | 'forward-unresolved'
    | 'host-unresolved';
  /** Enhanced status of the failure notice this leads to in the end, such as `4.4.3`. */
  readonly status: string;
  /**
   * `retry`: on the schedule. `confirm`: a second lookup past the cache at the next attempt, five minutes at
   * most, then notice. `notice`: at once.
   */
  readonly action: 'retry' | 'confirm' | 'notice';
  /** What was found, for people. */
  readonly text: string;
}

/** One step of the work, as explain shows it and the timeline keeps it. */
export interface RouteStep {
  readonly kind: 'rule' | 'dns' | 'address' | 'fallback' | 'route' | 'tls';
  readonly text: string;
}

export type RouteVia = 'mx' | 'smtp-host' | 'forward' | 'host';

/** Where to go now. Worked out afresh at each attempt, never stored with the message. */
export interface Route {
  /** `host`: the one a rule for the destination names. */
  readonly via: RouteVia;
  /** Set when via is `smtp-host` because MX resolution failed in this way. */
  readonly fallback: RouteFailureKind | null;
  /** Empty exactly when `failure` is set. */
  readonly hosts: readonly RouteHost[];
  readonly failure: RouteFailure | null;
  /** The first SMTP host meant, found or not; set when via is `smtp-host`. */
  readonly smtpHost: SmtpHost | null;
  /** What the rule for the destination asks of servers that are no SMTP host; null for what is usual. */
  readonly tls: RuleTls | null;
  /** A rule for the destination holds its mail: nothing is to be sent now. */
  readonly held: boolean;
  readonly mx: Answer<MxRecord> | null;
  readonly steps: readonly RouteStep[];
}

/** What a queued recipient's domain needs: the world outside, or the host a hosted domain forwards to. */
export type Target =
  | { readonly type: 'external'; readonly domain: string }
  | { readonly type: 'forward'; readonly domain: string; readonly host: string; readonly port: number };

export interface RouteOptions {
  readonly settings: Settings;
  /** The confirming lookup past the cache. */
  readonly fresh: boolean;
  readonly assumedExternal: boolean;
  /** Envelope sender; '' or absent is the null reverse-path. */
  readonly sender?: string;
}

export interface Routes {
  /** Finds the servers of a target now. Never rejects: trouble is a `failure` of kind `no-answer`. */
  plan(target: Target, options: RouteOptions): Promise<Route>;
  /**
   * The SMTP host's route when settings allow it for this kind (`unreachable` after dialling, `self` by a
   * greeting), null when they do not. `sender` is the envelope sender.
   */
  fallback(kind: RouteFailureKind, settings: Settings, sender: string): Promise<Route | null>;
}
