import type { Resolver } from '../dns/contract.ts';
import type { MessageId } from '../mail/message-id.ts';
import type { MakeNotices } from '../notices/contract.ts';
import type { SettingsService } from '../settings/service.ts';
import type { Settings } from '../settings/values.ts';
import type { Storage } from '../storage/contract.ts';
import type { MailServicePorts } from './mail-services.ts';
import type { SecondFactors } from './second-factor.ts';
import type { TrafficMinute } from './traffic.ts';

/** A question to explain, checked. */
export interface ExplainRequest {
  readonly address: string;
  /** Envelope sender; '' is the null reverse-path. */
  readonly from: string;
  /** Address of the client; null with a user or, by default, for some external source. */
  readonly client: string | null;
  /** The authenticated account, or null. */
  readonly user: string | null;
  /** The settings in force, or as they would be with the changes asked about. */
  readonly settings: Settings;
  /** Also try the servers, without sending mail. */
  readonly connect: boolean;
}

/** One line of `check`. */
export interface CheckFinding {
  /** `skipped`: not looked at, and why. */
  readonly level: 'ok' | 'skipped' | 'warning' | 'error';
  /**
   * What it is about: `settings`, `relay`, `directory`, `resolver`, `dns`, `smtp-host`, `outbound`, `ports`,
   * `tls`, `nodes`, `disk`, `clock`; `hosts` when neither of the two in the middle could be tried.
   */
  readonly topic: string;
  /** What was found. */
  readonly text: string;
  /** What it means; always there unless the level is `ok`. */
  readonly meaning?: string;
  /** What to do about it; always there unless the level is `ok`. */
  readonly mend?: string;
}

/** A network that may not sign in for a while. */
export interface AccessBan {
  readonly network: string;
  /** ms since 1970. */
  readonly until: number;
  readonly times: number;
  readonly failures: number;
}

/** Who is banned from signing in to this server. */
export interface AccessControl {
  bans(): readonly AccessBan[];
  /** False when there was no such ban. */
  unban(network: string): boolean;
}

/** The machine under the server, as far as `check` looks at it. */
export interface Machine {
  readonly dataFolder: string;
  /** Of the disk that holds the data folder, in bytes; free for a program without special rights. */
  diskSpace(): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
  nowMs(): number;
  /** When this program was built or installed. */
  builtAtMs(): Promise<number>;
}

/**
 * What the administration operations need. A plain object (it is copied with another `author` for each
 * caller); server/ makes it, with a running server behind it or directly on the store.
 */
export interface AdminContext {
  readonly storage: Storage;
  readonly settings: SettingsService;
  /** Who acts, for the history of settings. */
  readonly author: string;
  /** This server's name. */
  readonly hostname: string;
  /** Where people's mail programs find this server. */
  readonly mailServices: () => MailServicePorts;
  /** False when a command works on the store without a server. */
  readonly serverRunning: boolean;
  /** For `check`. */
  readonly resolver: Resolver;
  /** The state of the server and its queue, as JSON. */
  readonly status: () => Promise<object>;
  /** The decision and route as JSON (DESIGN.md "JSON shapes"). */
  readonly explain: (request: ExplainRequest) => Promise<object>;
  /** Whether a host and port are one of this server's own listeners. */
  readonly isOwnHost: (host: string, port: number) => boolean | Promise<boolean>;
  /** The listeners and whether their ports can be had. */
  readonly checkPorts: () => Promise<readonly CheckFinding[]>;
  /** The certificates shown to clients. */
  readonly checkTls: () => Promise<readonly CheckFinding[]>;
  /** The key of the certificate that other servers are shown; null before there is one. */
  readonly certificateKey: () => Promise<CertificateKey | null>;
  /** Tries the SMTP host and, when a domain is named, the way out to its MX hosts. Sends no mail. */
  readonly checkHosts: (probe: string | null, settings?: Settings) => Promise<readonly CheckFinding[]>;
  /** The DNS servers asked, as `address:port`. */
  readonly dnsServers: () => Promise<readonly string[]>;
  readonly machine: Machine;
  /** null when no server runs, and so nobody is banned. */
  readonly access: AccessControl | null;
  /** Something may have become due. */
  readonly wakeSender: () => void;
  readonly makeNotices: MakeNotices;
  readonly secondFactors: SecondFactors;
  /** PHC string of a password; rejects with `PasswordBusyError` when too many wait. */
  readonly hashPassword: (plain: string) => Promise<string>;
  /** Address of the browser or program that calls; null at the command line. For the audit. */
  readonly clientAddress: string | null;
  /** The session that calls, so that a new password does not end it; null for others. */
  readonly sessionId: string | null;
  /** Address of the account whose owner calls; null for administrators, programs and the command line. */
  readonly owner: string | null;
  /** Destinations with sessions, or that are failing. */
  readonly destinationStates: () => readonly DestinationState[];
  /** Lets a destination that is backed off, or all with null, be tried now; the number of back-offs ended. */
  readonly endBackOff: (destination: string | null) => number;
  /** Mail a minute on this node, the newest last; empty without a server. */
  readonly traffic: (minutes: number) => readonly TrafficMinute[];
  /** Takes a small message in as this server's own; resolves to its number. Rejects with `OperationError`. */
  readonly sendTestMessage: (message: TestMessage) => Promise<MessageId>;
  readonly node: NodeFile;
}

export interface CertificateKey {
  /** SHA-256 of the public key, as hexadecimal. */
  readonly sha256: string;
  /** Another one comes with each renewal by ACME. */
  readonly changes: boolean;
}

/** A destination as the sender sees it. */
export interface DestinationState {
  readonly destination: string;
  /** Its servers with ports, which other destinations may share. */
  readonly servers: string;
  readonly sessions: number;
  /** ISO 8601; null while it works. */
  readonly failingSince: string | null;
  /** ISO 8601; nothing is tried before. Null when it is not backed off. */
  readonly backedOffUntil: string | null;
  readonly lastReply: string | null;
}

export interface TestMessage {
  /** Canonical. */
  readonly to: string;
  readonly from: string;
}

/** The configuration file of this node. */
export interface NodeFile {
  /** Absolute path, also when it is not there. */
  readonly path: string;
  /** The host name that stands there; null without one or without a file. */
  readHostname(): Promise<string | null>;
  /** False when something else than the file gives the host name, or it has one already. */
  canWrite(): Promise<boolean>;
  writeHostname(hostname: string): Promise<void>;
}

/** What a refusal is, beside its words. */
export interface RefusalKind {
  /** Default `refused`: what was asked is not right, or cannot be done as things are. */
  readonly kind?: 'refused' | 'not-found' | 'conflict' | 'busy' | 'unavailable';
  readonly errors?: readonly FieldError[];
  /** What only this refusal tells, as JSON. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** What is wrong with one field. */
export interface FieldError {
  readonly key: string;
  readonly message: string;
  /** What would do; may be ''. */
  readonly wouldDo: string;
}

/** An operation that was refused or failed; told to the caller as it is. */
export class OperationError extends Error {
  /** What to do about it. */
  readonly mend: string | undefined;
  /** 1 refused or failed, 2 wrong usage. */
  readonly exit: 1 | 2;
  readonly kind: NonNullable<RefusalKind['kind']>;
  readonly errors: readonly FieldError[];
  readonly more: Readonly<Record<string, unknown>>;
  constructor(message: string, mend?: string, exit: 1 | 2 = 1, refusal: RefusalKind = {}) {
    super(message);
    this.kind = refusal.kind ?? 'refused';
    this.errors = refusal.errors ?? [];
    this.more = refusal.more ?? {};
    this.name = 'OperationError';
    this.mend = mend;
    this.exit = exit;
  }
}
