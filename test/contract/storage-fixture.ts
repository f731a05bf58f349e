/** What the storage suites share: a place for a store, and messages to put into it. */
import type {
  AcceptWithNotices,
  Account,
  BodyReader,
  Claim,
  MessageSource,
  NewRecipient,
  Storage,
} from '../../src/storage/contract.ts';

/** A place where an engine keeps a store; `open` opens what the last one left there. */
export interface StoragePlace {
  open(): Promise<Storage>;
  dispose(): Promise<void>;
}

export type MakePlace = () => Promise<StoragePlace>;

/** Runs `use` on a new store and cleans up whatever happens. */
export async function withStore(
  makePlace: MakePlace,
  use: (storage: Storage, reopen: () => Promise<Storage>) => Promise<void>,
): Promise<void> {
  const place = await makePlace();
  let storage = await place.open();
  try {
    await use(storage, async () => {
      await storage.close();
      storage = await place.open();
      return storage;
    });
  } finally {
    await storage.close();
    await place.dispose();
  }
}

export const SOURCE: MessageSource = {
  kind: 'external',
  address: '192.0.2.1',
  helo: 'client.example.org',
  user: null,
  protocol: 'ESMTP',
};

export const HEADER = 'Received: from client.example.org\r\n';

/** Makes `example.com` with an account. */
export async function makeAccount(storage: Storage, address = 'ann@example.com'): Promise<Account> {
  const domain = address.slice(address.lastIndexOf('@') + 1);
  if ((await storage.domain(domain)) === null) await storage.addDomain(domain);
  return storage.addAccount({ address, passwordHash: null, quotaBytes: null });
}

export function local(account: Account, header = 'Return-Path: <s@example.org>\r\n'): NewRecipient {
  const { address, id: accountId } = account;
  return {
    address,
    original: address,
    rule: 'account',
    to: { type: 'local', delivery: { accountId, header } },
  };
}

export function queued(address: string, notBefore?: number): NewRecipient {
  const destination = address.slice(address.lastIndexOf('@') + 1);
  const to = { type: 'queue' as const, destination, ...(notBefore === undefined ? {} : { notBefore }) };
  return { address, original: address, rule: 'external', to };
}

/** Accepts a message; resolves to its id. */
export async function accept(
  storage: Storage,
  recipients: readonly NewRecipient[],
  content: string | Uint8Array = 'Subject: hello\r\n\r\nhello\r\n',
  more: Partial<AcceptWithNotices> = {},
): Promise<number> {
  const body = storage.openWriter();
  const bytes = Buffer.from(content);
  for (let at = 0; at < bytes.byteLength; at += 65_536) {
    while (!body.append(bytes.subarray(at, at + 65_536))) await storage.drained();
  }
  const id = storage.nextMessageId();
  await storage.accept({
    id,
    body,
    sender: 's@example.org',
    source: SOURCE,
    smtputf8: false,
    eightBit: false,
    header: HEADER,
    receivedAt: Date.now(),
    recipients,
    ...more,
  });
  return id;
}

export async function readAll(reader: BodyReader | null, fromByte?: number): Promise<Buffer> {
  if (reader === null) throw new Error('there is nothing to read');
  const parts: Uint8Array[] = [];
  for await (const chunk of reader.chunks(fromByte)) parts.push(chunk);
  return Buffer.concat(parts);
}

export const SCHEDULE_MS = [60_000, 300_000];

export async function claim(
  storage: Storage,
  destination: string,
  leaseMs = 60_000,
  limit = 10,
): Promise<readonly Claim[]> {
  return storage.claimDue({ destination, limit, leaseMs, retryScheduleMs: SCHEDULE_MS });
}

/** Claims the one message due at a destination. */
export async function claimOne(storage: Storage, destination: string, leaseMs = 60_000): Promise<Claim> {
  const [only] = await claim(storage, destination, leaseMs);
  if (only === undefined) throw new Error(`nothing due at ${destination}`);
  return only;
}

/** The state of each recipient of a message, in order. */
export async function states(storage: Storage, id: number): Promise<string[]> {
  const found = await storage.message(id);
  return found?.message.recipients.map(({ state }) => state) ?? [];
}

export const NO_REPLY = { via: null, lastReply: null, lastKind: null } as const;
