/** What one row of the table test holds, and the places all rows speak of. */
import type { PeerScript } from '../support/smtp-peer.ts';

/** Where the peers listen, all on one port. */
export const FAR = '127.0.62.1';
export const HOST = '127.0.62.2';
export const MIRROR = '127.0.62.3';
export const OUTSIDE = '127.0.62.4';
/** The next best server where FAR fails. */
export const SECOND = '127.0.62.5';
/** Nobody listens there. */
export const CLOSED = '127.0.62.99';
/** Neither accepts nor refuses a connection. */
export const SWALLOWS = '127.0.62.98';

/**
 * `dialled`: what dialling and talking came to before, which explain can only tell in its outlook, by these
 * kinds.
 */
export type Ending =
  /** `rcpt`: the reply when it is one that explain cannot know. */
  | { readonly at: 'refused'; readonly rcpt?: string }
  /** `of`: whose, the postmaster's by default. `and`: also at `far`, for this address. */
  | { readonly at: 'mailbox'; readonly of?: string; readonly and?: string }
  /** `address`: the recipient there where it is not the row's. */
  | {
      readonly at: 'far' | 'host' | 'second';
      readonly dialled?: 'unreachable' | 'self' | 'spoke';
      readonly address?: string;
    }
  | {
      readonly at: 'notice';
      readonly status: string;
      readonly dialled?: 'unreachable' | 'self' | 'spoke' | 'refused' | 'tls';
    };

/** How far an attempt came with the server that fails, and its last words (a pattern where they are ours). */
export interface Heard {
  /** Default `far`. */
  readonly at?: 'far' | 'host';
  readonly stage: 'greeting' | 'ehlo' | 'starttls' | 'mail' | 'rcpt' | 'data' | 'data-end';
  readonly reply: string | RegExp;
}

export interface Row {
  readonly name: string;
  readonly client: 'local' | 'external';
  /** Default: a local account, or somebody outside whom notices reach. */
  readonly from?: string;
  readonly to: string;
  /** What RCPT says, where explain is asked about the address in it. */
  readonly path?: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly zones?: Readonly<Record<string, readonly string[]>>;
  /** What these servers do; well by default. */
  readonly far?: PeerScript;
  readonly host?: PeerScript;
  readonly heard?: Heard;
  /** Other peers that hear of it before it ends. */
  readonly alsoHeard?: readonly string[];
  /** Explain calls the servers too, and the attempt must find what it found. */
  readonly connects?: true;
  /** What is not named is null. */
  readonly told: {
    readonly decision: string;
    readonly rule: string;
    readonly via?: string;
    readonly fallback?: string;
    readonly failure?: string;
    readonly status?: string;
  };
  /** One of explain's steps says so. */
  readonly step?: RegExp;
  readonly ends: Ending;
}

export const OUTWARD = { decision: 'external', rule: 'not-hosted' } as const;
export const FALLBACK = { 'smtp.fallbackToSmtpHost': 'on' } as const;
