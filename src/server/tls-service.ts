/**
 * The certificates the server uses: read at start, read again when a file changes or on SIGHUP. What cannot be used
 * any more leaves the old one in place, with an alarm; sessions under way keep what they began with.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SecureContext } from 'node:tls';
import type { TlsProvider } from '../listening/tls-provider.ts';
import { describeError, failed, ok, type Result } from '../mail/failure.ts';
import type { Log } from './log.ts';
import {
  type Certificate,
  type CertificateFiles,
  certificateHasName,
  loadCertificate,
} from './tls-certificate.ts';
import { makeSelfSigned } from './tls-self-signed.ts';

/** The certificates of a node's configuration; absolute paths. */
export interface TlsConfig {
  /** null: self-signed, in the data folder. */
  readonly main: { readonly cert: string; readonly key: string } | null;
  readonly extra: readonly CertificateFiles[];
}

/** How often the files are looked at, ms. */
const LOOK_EVERY_MS = 2_000;
const DAY_MS = 86_400_000;
/** From here on `check` and `status` warn of the end of a certificate. */
export const NEAR_END_MS = 14 * DAY_MS;

/** One certificate as `status` and `check` show it. */
export interface CertificateState {
  readonly file: string;
  readonly names: readonly string[];
  readonly issuer: string;
  readonly selfSigned: boolean;
  /** Made by CMail because none is configured. */
  readonly ownMade: boolean;
  /** Obtained and renewed by ACME. */
  readonly obtained: boolean;
  readonly validUntil: string;
  readonly daysLeft: number;
  readonly fingerprint: string;
  /** Of its public key, as TLSA 3 1 1 has it. */
  readonly keyFingerprint: string;
  /** That mail programs will not trust it; null when they may. */
  readonly warning: string | null;
}

/** Where the pair is that a node without [tls] makes for itself. */
export function selfSignedFiles(dataFolder: string): { readonly cert: string; readonly key: string } {
  return {
    cert: join(dataFolder, 'tls', 'self-signed.crt'),
    key: join(dataFolder, 'tls', 'self-signed.key'),
  };
}

/** Where a node's certificates come from. */
export interface CertificateSources {
  readonly config: TlsConfig;
  readonly dataFolder: string;
  /** The file in which ACME keeps certificate and key; null without ACME. */
  readonly issued: string | null;
}

/** The files of a node, the main pair first: what ACME obtained, once it has, comes before the self-signed pair. */
async function certificateFiles(sources: CertificateSources): Promise<readonly CertificateFiles[]> {
  const { config, dataFolder, issued } = sources;
  const obtained = issued !== null && (await statText(issued)) !== '-' ? { cert: issued, key: issued } : null;
  const main = config.main ?? obtained ?? selfSignedFiles(dataFolder);
  return [{ ...main, names: [] }, ...config.extra];
}

export class TlsService implements TlsProvider {
  readonly #sources: CertificateSources;
  #files: readonly CertificateFiles[];
  readonly #log: Log;
  #certificates: readonly Certificate[];
  /** Why what is on disk now is not in use; null when it is. */
  #trouble: string | null = null;
  #seen = '';
  #timer: NodeJS.Timeout | undefined;
  #reloading: Promise<void> = Promise.resolve();

  private constructor(
    sources: CertificateSources,
    files: readonly CertificateFiles[],
    certificates: readonly Certificate[],
    log: Log,
  ) {
    this.#sources = sources;
    this.#files = files;
    this.#certificates = certificates;
    this.#log = log;
  }

  /** Reads everything, making the self-signed pair where none is configured; a failure says what to mend. */
  static async open(
    input: CertificateSources & { readonly hostname: string; readonly log: Log },
  ): Promise<Result<TlsService, string>> {
    const { config, dataFolder, hostname, log } = input;
    if (config.main === null) {
      const made = await makeWhenMissing(selfSignedFiles(dataFolder), hostname);
      if (!made.ok) return made;
    }
    let files = await certificateFiles(input);
    let loaded = await loadAll(files);
    if (!loaded.ok && input.issued !== null && files[0]?.cert === input.issued) {
      // ACME finds the same and obtains another; until then the server must not stay away.
      log('error', 'the certificate obtained cannot be used', { why: loaded.failure });
      files = await certificateFiles({ ...input, issued: null });
      loaded = await loadAll(files);
    }
    if (!loaded.ok) return loaded;
    const service = new TlsService(input, files, loaded.value, log);
    service.#seen = await fingerprintOf(files);
    service.#timer = setInterval(() => void service.#look(), LOOK_EVERY_MS);
    service.#timer.unref();
    return ok(service);
  }

  /** Says in the log what is used, and that nobody trusts it when it is CMail's own. */
  announce(): void {
    for (const { file, names, validUntil, ownMade } of this.state()) {
      const mend = selfSignedMend(this.#sources.issued !== null);
      if (ownMade) this.#log('warn', SELF_SIGNED, { file, names, mend });
      else this.#log('info', 'TLS certificate', { file, names, validUntil });
    }
  }

  contextFor(name: string | null): SecureContext {
    const asked = name === null ? undefined : this.#certificates.find((one) => certificateHasName(one, name));
    return (asked ?? this.#certificates[0]!).context;
  }

  /** Reads the files again, one reading after the other; the old certificates stay when one of them cannot be used. */
  reload(): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reload());
    return this.#reloading;
  }

  state(): readonly CertificateState[] {
    return this.#certificates.map((one) => stateOf(one, this.#sources));
  }

  alarms(): readonly string[] {
    const alarms = this.#trouble === null ? [] : [this.#trouble];
    for (const one of this.state()) {
      const end = endWords(one);
      if (end !== null) alarms.push(`${end}. ${RENEW}`);
    }
    return alarms;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if ((await fingerprintOf(this.#files)) !== this.#seen) await this.reload();
  }

  async #reload(): Promise<void> {
    const files = await certificateFiles(this.#sources);
    this.#files = files;
    this.#seen = await fingerprintOf(files);
    const loaded = await loadAll(files);
    if (!loaded.ok) {
      this.#trouble = `The TLS certificate on disk is not used: ${loaded.failure} The one read before stays in use.`;
      this.#log('error', 'a certificate cannot be used; the old one stays', { why: loaded.failure });
      return;
    }
    this.#certificates = loaded.value;
    this.#trouble = null;
    const until = loaded.value.map(({ notAfter }) => new Date(notAfter).toISOString());
    this.#log('info', 'certificates were read again', { files: this.#files.map(({ cert }) => cert), until });
  }
}

export const SELF_SIGNED = 'TLS uses a certificate that CMail made for itself';
/** The way out of a certificate that nobody trusts. */
export function selfSignedMend(acme: boolean): string {
  return acme
    ? 'The one that [tls.acme] is to obtain takes its place as soon as it is there; status shows how far that is.'
    : 'Name a certificate that mail programs trust as tls.cert and tls.key in cmail.toml, or have one obtained with [tls.acme].';
}

export const RENEW =
  'Put the renewed certificate and key in the same files; CMail takes them over by itself.';

/** That a certificate has ended, has not begun or ends soon; null when all is well. */
export function endWords({ file, validUntil, daysLeft, obtained }: CertificateState): string | null {
  // Its renewal is no work of the administrator's; when it fails, ACME says so with the reason.
  if (obtained) return null;
  if (daysLeft < 0) return `The TLS certificate ${file} has ended at ${validUntil}`;
  if (daysLeft * DAY_MS >= NEAR_END_MS) return null;
  const left = daysLeft === 0 ? 'less than a day' : daysLeft === 1 ? '1 day' : `${daysLeft} days`;
  return `The TLS certificate ${file} ends at ${validUntil}, in ${left}`;
}

function stateOf(certificate: Certificate, { dataFolder, issued }: CertificateSources): CertificateState {
  const { files, names, issuer, selfSigned, notAfter, fingerprint, keyFingerprint } = certificate;
  const ownMade = files.cert === selfSignedFiles(dataFolder).cert;
  return {
    file: files.cert,
    names,
    issuer,
    selfSigned,
    ownMade,
    obtained: files.cert === issued,
    validUntil: new Date(notAfter).toISOString(),
    daysLeft: Math.floor((notAfter - Date.now()) / DAY_MS),
    fingerprint,
    keyFingerprint,
    warning: ownMade
      ? `${SELF_SIGNED}, so mail programs warn of it. ${selfSignedMend(issued !== null)}`
      : null,
  };
}

/** The certificates as `check` finds them on disk without a server. */
export async function certificatesOnDisk(
  sources: CertificateSources,
): Promise<Result<readonly CertificateState[], string>> {
  const loaded = await loadAll(await certificateFiles(sources));
  if (!loaded.ok) return loaded;
  return ok(loaded.value.map((one) => stateOf(one, sources)));
}

async function makeWhenMissing(
  files: ReturnType<typeof selfSignedFiles>,
  hostname: string,
): Promise<Result<void, string>> {
  try {
    if ((await statText(files.cert)) !== '-') return ok(undefined);
    await makeSelfSigned(files, hostname);
    return ok(undefined);
  } catch (error) {
    return failed(`The self-signed certificate ${files.cert} cannot be made: ${describeError(error)}.`);
  }
}

async function loadAll(files: readonly CertificateFiles[]): Promise<Result<readonly Certificate[], string>> {
  const certificates: Certificate[] = [];
  for (const one of files) {
    const loaded = await loadCertificate(one);
    if (!loaded.ok) return loaded;
    certificates.push(loaded.value);
  }
  return ok(certificates);
}

/** Changes when one of the files does. */
async function fingerprintOf(files: readonly CertificateFiles[]): Promise<string> {
  const texts = await Promise.all(files.flatMap(({ cert, key }) => [statText(cert), statText(key)]));
  return texts.join(' ');
}

async function statText(file: string): Promise<string> {
  try {
    const { mtimeMs, size, ino } = await stat(file);
    return `${mtimeMs}/${size}/${ino}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '-';
    return describeError(error);
  }
}
