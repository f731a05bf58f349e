/**
 * What the ACME part keeps in its folder, `<data>/acme`: account keys, an order under way, the certificate
 * with its key, and when to ask next. Everything is readable by its owner only and replaced in one step.
 */
import { createHash, type KeyObject } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { describeError, failed, ok, type Result } from '../mail/failure.ts';
import { type AcmeFailure, acmeFailure } from './contract.ts';
import { keyFromPem, keyToPem } from './x509.ts';

/** Far more than any of the files has. */
const MAX_FILE_CHARS = 1_000_000;

export interface StoredAccount {
  readonly key: KeyObject;
  /** Its URL at the CA; null before it is registered. */
  readonly url: string | null;
  /** The contacts the CA knows. */
  readonly contact: readonly string[];
}

/** An order made and not yet fetched, so that a restart goes on with it instead of making another. */
export interface StoredOrder {
  readonly url: string;
  readonly directory: string;
  readonly names: readonly string[];
  /** Of the certificate to come. */
  readonly key: KeyObject;
}

const accountSchema = z.object({
  directory: z.string(),
  key: z.string(),
  url: z.string().nullable(),
  contact: z.array(z.string()),
});

const orderSchema = z.object({
  url: z.string(),
  directory: z.string(),
  names: z.array(z.string()),
  key: z.string(),
});

const KINDS = [
  'unreachable',
  'bad-answer',
  'rate-limited',
  'account',
  'terms',
  'external-account',
  'validation',
  'refused',
  'local',
  'stopped',
] as const;

const stateSchema = z.object({
  /** Fingerprint of the configuration the rest belongs to. */
  plan: z.string(),
  /** No attempt is made before this time. */
  nextAttemptAtMs: z.number(),
  /** The CA that asked us to wait, and until when; holds whatever is changed or asked for by hand. */
  heldBy: z.string().nullable(),
  heldUntilMs: z.number(),
  /** Attempts failed one after the other, the one under way included. */
  failures: z.number(),
  lastFailure: z
    .object({ atMs: z.number(), kind: z.enum(KINDS), text: z.string(), mend: z.string() })
    .nullable(),
  /** Directory the certificate came from; null before the first. */
  issuedBy: z.string().nullable(),
  ari: z
    .object({
      /** The certificate the window is for. */
      id: z.string(),
      startMs: z.number(),
      endMs: z.number(),
      /** The moment chosen in the window. */
      chosenMs: z.number(),
      explanation: z.string().nullable(),
    })
    .nullable(),
  /** When to ask for renewal information. */
  nextAriAtMs: z.number(),
});

export type AcmeState = z.infer<typeof stateSchema>;
export type AriWindow = NonNullable<AcmeState['ari']>;

export const EMPTY_STATE: AcmeState = {
  plan: '',
  nextAttemptAtMs: 0,
  heldBy: null,
  heldUntilMs: 0,
  failures: 0,
  lastFailure: null,
  issuedBy: null,
  ari: null,
  nextAriAtMs: 0,
};

export class AcmeFiles {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Key and chain in one PEM file, so that they are always of one certificate. */
  get certificateFile(): string {
    return join(this.folder, 'certificate.pem');
  }

  /** One file for each directory: changing the CA back finds the old account again. */
  accountFile(directory: string): string {
    const name = createHash('sha256').update(directory).digest('hex').slice(0, 16);
    return join(this.folder, `account-${name}.json`);
  }

  /** The account at a CA; null before there is one. A damaged file is a failure: its key cannot be had again. */
  async account(directory: string): Promise<Result<StoredAccount | null, AcmeFailure>> {
    const file = this.accountFile(directory);
    const text = await readOrNull(file);
    if (!text.ok) return text;
    if (text.value === null) return ok(null);
    const read = parseAs(accountSchema, text.value);
    const key = read === undefined ? undefined : keyFromPem(read.key);
    if (read === undefined || key === undefined) {
      const mend = 'Bring it back from a backup, or remove it: a new account is then registered.';
      return failed(acmeFailure('local', `${file} does not hold an ACME account.`, mend));
    }
    return ok({ key, url: read.url, contact: read.contact });
  }

  saveAccount(directory: string, { key, url, contact }: StoredAccount): Promise<Result<void, AcmeFailure>> {
    return replace(
      this.accountFile(directory),
      JSON.stringify({ directory, url, contact, key: keyToPem(key) }),
    );
  }

  /** The order under way; null without one, or when the file is damaged: a new order does as well. */
  async order(): Promise<Result<StoredOrder | null, AcmeFailure>> {
    const text = await readOrNull(this.#orderFile);
    if (!text.ok) return text;
    const read = text.value === null ? undefined : parseAs(orderSchema, text.value);
    const key = read === undefined ? undefined : keyFromPem(read.key);
    return ok(read === undefined || key === undefined ? null : { ...read, key });
  }

  saveOrder(order: StoredOrder): Promise<Result<void, AcmeFailure>> {
    return replace(this.#orderFile, JSON.stringify({ ...order, key: keyToPem(order.key) }));
  }

  async dropOrder(): Promise<Result<void, AcmeFailure>> {
    return attempt(this.#orderFile, () => rm(this.#orderFile, { force: true }));
  }

  /** What was remembered; the empty state at first and when the file is damaged. */
  async state(): Promise<Result<AcmeState, AcmeFailure>> {
    const text = await readOrNull(this.#stateFile);
    if (!text.ok) return text;
    return ok((text.value === null ? undefined : parseAs(stateSchema, text.value)) ?? EMPTY_STATE);
  }

  saveState(state: AcmeState): Promise<Result<void, AcmeFailure>> {
    return replace(this.#stateFile, JSON.stringify(state));
  }

  /** Chain and key of the certificate in use; null without a readable one. */
  async certificate(): Promise<
    Result<{ readonly chain: string; readonly key: KeyObject } | null, AcmeFailure>
  > {
    const text = await readOrNull(this.certificateFile);
    if (!text.ok) return text;
    const key = text.value === null ? undefined : keyFromPem(text.value);
    return ok(key === undefined || text.value === null ? null : { chain: text.value, key });
  }

  saveCertificate(chain: string, key: KeyObject): Promise<Result<void, AcmeFailure>> {
    return replace(this.certificateFile, keyToPem(key) + chain);
  }

  get #orderFile(): string {
    return join(this.folder, 'order.json');
  }

  get #stateFile(): string {
    return join(this.folder, 'state.json');
  }
}

function parseAs<T>(schema: z.ZodType<T>, text: string): T | undefined {
  try {
    const read = schema.safeParse(JSON.parse(text));
    return read.success ? read.data : undefined;
  } catch {
    // No JSON: damaged like any other content that does not fit, which each caller answers for.
    return undefined;
  }
}

async function attempt<T>(file: string, work: () => Promise<T>): Promise<Result<T, AcmeFailure>> {
  try {
    return ok(await work());
  } catch (error) {
    const mend = 'Check the rights on the acme folder of the data folder, and room on its disk.';
    return failed(acmeFailure('local', `${file} cannot be read or written: ${describeError(error)}.`, mend));
  }
}

function readOrNull(file: string): Promise<Result<string | null, AcmeFailure>> {
  return attempt(file, async () => {
    try {
      return (await readFile(file, 'utf8')).slice(0, MAX_FILE_CHARS);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  });
}

/** Writes beside the file, forces it to the disk and renames: a reader sees the old or the new whole. */
function replace(file: string, text: string): Promise<Result<void, AcmeFailure>> {
  return attempt(file, async () => {
    const folder = dirname(file);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const temporary = `${file}.new`;
    await rm(temporary, { force: true });
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    const directory = await open(folder, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  });
}
