import type { DestinationRule, SmtpHostNumber } from './destination-rules.ts';
import type { SenderHost } from './smtp-host-table.ts';

/** Why a destination's servers could not be used; the rows of BEHAVIOUR.md "When MX fails". */
export type RouteFailureKind = 'no-answer' | 'nxdomain' | 'no-address' | 'unreachable' | 'self';

export type TlsMode = 'none' | 'opportunistic' | 'required' | 'implicit';

/** An upstream server ("smarthost"). */
export interface SmtpHost {
  /** Its place in the order they are tried in. */
  readonly which: SmtpHostNumber;
  /** Host name or address without brackets. */
  readonly name: string;
  readonly port: number;
  readonly tls: TlsMode;
  /** Empty when no authentication is wanted. */
  readonly username: string;
  readonly password: string;
}

/** Longest wait of each phase, in ms, counted to the complete reply or block (RFC 5321 §4.5.3.2). */
export interface PhaseTimeouts {
  /** Outbound: wait for the 220 greeting. */
  readonly greetingMs: number;
  /** Outbound: EHLO/HELO. */
  readonly ehloMs: number;
  /** Either way: STARTTLS reply and handshake. */
  readonly tlsMs: number;
  readonly authMs: number;
  readonly mailMs: number;
  readonly rcptMs: number;
  /** Outbound: reply to DATA. */
  readonly dataMs: number;
  /** Either way: one block of data. */
  readonly dataBlockMs: number;
  /** Outbound: reply to the final dot. */
  readonly dataEndMs: number;
  readonly quitMs: number;
  /** Inbound: wait for the client's next command. */
  readonly commandMs: number;
}

/** What an account may send after sign-in; 0 means no limit. */
export interface SubmissionSettings {
  readonly messagesPerHour: number;
  readonly messagesPerDay: number;
  readonly recipientsPerMessage: number;
  /** Lower-case addresses of accounts that may send as anybody. */
  readonly anySender: readonly string[];
}

/** Errors of strangers within an hour, summed over sessions; 0 means no limit. */
export interface StrangerErrors {
  readonly perAddress: number;
  readonly perNetwork: number;
}

/** What anybody who connects may do. */
export interface StrangerSettings {
  readonly sessions: { readonly total: number; readonly perAddress: number; readonly perNetwork: number };
  readonly pop3Sessions: { readonly total: number; readonly perAddress: number };
  readonly greetDelayMs: number;
  readonly errorsInAnHour: StrangerErrors;
  readonly errors: number;
  readonly idleCommands: number;
  readonly recipientsPerMessage: number;
  readonly recipientsPerSession: number;
  readonly messagesPerSession: number;
  /** A network's first ban from signing in. */
  readonly signInBanMs: number;
}

/**
 * Every setting as the program uses it, in ms and bytes, already checked. An object is immutable; a change
 * makes a new one. Keep the function that returns the current one, never the object, across an await that
 * can last: a change must be in force for the next command and the next attempt.
 */
export interface Settings {
  readonly bufferSizeBytes: number;
  readonly socketTimeoutMs: number;
  /** 0 means no limit. */
  readonly maxIncomingSizeBytes: number;
  readonly useMxResolution: boolean;
  readonly fallbackToSmtpHost: boolean;
  readonly outboundPort: number;
  readonly refuseUnknownUsers: boolean;
  readonly assumeExternal: boolean;
  /** The first SMTP host; null when none is entered. */
  readonly smtpHost: SmtpHost | null;
  /** Those that stand in for the first, in the order to try them; `smtpHostsOf` gives all. */
  readonly furtherSmtpHosts: readonly SmtpHost[];
  /** Senders whose mail has an SMTP host of its own. Asked through `senderHost`. */
  readonly senderHosts: readonly SenderHost[];
  /** Ranges in CIDR form. */
  readonly relayNetworks: readonly string[];
  /** Wait before the 2nd, 3rd, … attempt; the last one repeats. */
  readonly retryScheduleMs: readonly number[];
  readonly queueLifetimeMs: number;
  /** Age at which a delay notice goes out; 0 for never. */
  readonly delayNoticeMs: number;
  readonly hopLimit: number;
  /** Sessions to other servers at once, of one node. */
  readonly maxSessions: number;
  /** Most connections at once to the servers of one destination, of one node. */
  readonly destinationConcurrency: number;
  readonly messagesPerConnection: number;
  readonly recipientsPerTransaction: number;
  readonly fallbackOn: readonly RouteFailureKind[];
  /** Asked through `destinationRule`. */
  readonly destinationRules: readonly DestinationRule[];
  readonly unknownUserNotice: 'refuse' | 'notice';
  /** Notices in a minute for each client network (one an hour for each sender besides). */
  readonly unknownUserNoticeRate: number;
  readonly allowPrivateAddresses: boolean;
  readonly ownNames: readonly string[];
  readonly ownAddresses: readonly string[];
  /** Addresses of this machine to send from; '' where the system chooses. */
  readonly sourceAddress4: string;
  readonly sourceAddress6: string;
  readonly bareNewline: 'refuse' | 'normalise';
  /** Bytes a second that data must average. */
  readonly minDataRate: number;
  readonly submission: SubmissionSettings;
  /** Owners of accounts may sign in to the page. */
  readonly ownersPage: boolean;
  /** An account may forward to addresses of other servers. */
  readonly externalForwards: boolean;
  /** Forwarded mail leaves with a sender of the forwarding domain (SRS). */
  readonly rewriteForwardedSender: boolean;
  /** Reports of TLS to other domains (RFC 8460); `contact` is '' for the server's postmaster. */
  readonly tlsReports: { readonly on: boolean; readonly contact: string };
  readonly strangers: StrangerSettings;
  readonly timeouts: PhaseTimeouts;
  readonly historyKeepMs: number;
}

/** The settings in force now. */
export type CurrentSettings = () => Settings;
