import type { Resolver } from '../dns/contract.ts';
import type { MakeNotices } from '../notices/contract.ts';
import type { SettingsService } from '../settings/service.ts';
import type { Settings } from '../settings/values.ts';
import type { Storage } from '../storage/contract.ts';

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
  /** Tries the SMTP host and, when a domain is named, the way out to its MX hosts. Sends no mail. */
  readonly checkHosts: (probe: string | null) => Promise<readonly CheckFinding[]>;
  /** The DNS servers asked, as `address:port`. */
  readonly dnsServers: () => Promise<readonly string[]>;
  readonly machine: Machine;
  /** null when no server runs, and so nobody is banned. */
  readonly access: AccessControl | null;
  /** Something may have become due. */
  readonly wakeSender: () => void;
  readonly makeNotices: MakeNotices;
  /** PHC string of a password; rejects with `PasswordBusyError` when too many wait. */
  readonly hashPassword: (plain: string) => Promise<string>;
}

/** An operation that was refused or failed; told to the caller as it is. */
export class OperationError extends Error {
  /** What to do about it. */
  readonly mend: string | undefined;
  /** 1 refused or failed, 2 wrong usage. */
  readonly exit: 1 | 2;
  constructor(message: string, mend?: string, exit: 1 | 2 = 1) {
    super(message);
    this.name = 'OperationError';
    this.mend = mend;
    this.exit = exit;
  }
}
