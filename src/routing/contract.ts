import type { Answer, MxRecord } from '../dns/contract.ts';
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
}

/** Why there is no host to dial. `null-mx` is a definite no (RFC 7505) and never falls back. */
export interface RouteFailure {
  readonly kind: RouteFailureKind | 'null-mx' | 'smtp-host-unresolved' | 'forward-unresolved';
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

/** Where to go now. Worked out afresh at each attempt, never stored with the message. */
export interface Route {
  readonly via: 'mx' | 'smtp-host' | 'forward';
  /** Set when via is `smtp-host` because MX resolution failed in this way. */
  readonly fallback: RouteFailureKind | null;
  /** Empty exactly when `failure` is set. */
  readonly hosts: readonly RouteHost[];
  readonly failure: RouteFailure | null;
  /** Credentials and TLS mode; set when via is `smtp-host`. */
  readonly smtpHost: SmtpHost | null;
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
}

export interface Routes {
  /** Finds the servers of a target now. Never rejects: trouble is a `failure` of kind `no-answer`. */
  plan(target: Target, options: RouteOptions): Promise<Route>;
  /**
   * The SMTP host's route when settings allow it for this kind (`unreachable` after dialling, `self` by a
   * greeting), null when they do not.
   */
  fallback(kind: RouteFailureKind, settings: Settings): Promise<Route | null>;
}
