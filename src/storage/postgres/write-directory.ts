/** Domains, accounts and aliases. Changes of the directory come one after the other, on all nodes. */
import { type Account, type Alias, type Domain, StorageError } from '../contract.ts';
import { type AccountRow, accountOf, domainPart, lookupName } from '../shared/directory-rows.ts';
import type { In, WriteOps } from '../shared/operations.ts';
import type { Runner } from './connection.ts';
import { forgetCredentials } from './credentials.ts';
import { endAccountSessions } from './owner.ts';
import { forgetSecondFactor } from './second-factor.ts';
import { databaseTime, type WriteContext } from './write-context.ts';

export type DirectoryChange =
  | 'addDomain'
  | 'removeDomain'
  | 'setForward'
  | 'setCatchAll'
  | 'addAccount'
  | 'removeAccount'
  | 'setPassword'
  | 'setEnabled'
  | 'setQuota'
  | 'movePostmaster'
  | 'addAlias'
  | 'removeAlias'
  | 'setAccountForward';

type Change<K extends DirectoryChange> = (tx: Runner, input: In<WriteOps, K>) => Promise<unknown>;

/** Each throws before its first change when it refuses. */
export const DIRECTORY: { readonly [K in DirectoryChange]: Change<K> } = {
  addDomain: async (tx, { name }) => {
    const made = await tx.run(
      'INSERT INTO domain (name) VALUES ($1) ON CONFLICT (name) DO NOTHING RETURNING name',
      [name],
    );
    if (made.length === 0) throw new StorageError('conflict', `the domain ${name} exists already`);
  },
  removeDomain: async (tx, { name }) => {
    await needDomain(tx, name);
    const [user] = await tx.run<{ address: string }>(
      `SELECT address FROM account WHERE domain = $1 UNION ALL SELECT address FROM alias WHERE domain = $1 LIMIT 1`,
      [name],
    );
    if (user !== undefined) {
      throw new StorageError(
        'conflict',
        `the domain ${name} still has accounts or aliases (${user.address}): remove them first`,
      );
    }
    await tx.run('DELETE FROM domain WHERE name = $1', [name]);
  },
  setForward: async (tx, { name, forward }) => {
    await needDomain(tx, name);
    await tx.run(
      'UPDATE domain SET forward_host = $1, forward_port = $2, forward_address = $3 WHERE name = $4',
      [...forwardColumns(forward), name],
    );
  },
  setCatchAll: async (tx, { name, address }) => {
    await needDomain(tx, name);
    await tx.run('UPDATE domain SET catch_all = $1 WHERE name = $2', [address, name]);
  },
  addAccount,
  removeAccount: async (tx, { address }) => {
    const row = await needAccount(tx, address);
    if (row.postmaster === 1) {
      throw new StorageError(
        'conflict',
        `${row.address} is the server's postmaster: move postmaster to another account first`,
      );
    }
    // The mail is swept afterwards; the mailbox first, as those who deliver lock it first.
    await tx.run('UPDATE mailbox SET account_id = NULL WHERE account_id = $1', [row.id]);
    await tx.run('DELETE FROM account WHERE id = $1', [row.id]);
    await forgetCredentials(tx, row.id);
    await endAccountSessions(tx, row.id, null);
    await forgetSecondFactor(tx, { kind: 'account', name: lookupName(address) });
  },
  setPassword: async (tx, { address, passwordHash, keepSession }) => {
    const id = await setAccount(tx, address, 'password_hash', passwordHash);
    await endAccountSessions(tx, id, keepSession);
  },
  setEnabled: async (tx, { address, enabled }) => {
    const id = await setAccount(tx, address, 'enabled', enabled ? 1 : 0);
    if (!enabled) await endAccountSessions(tx, id, null);
  },
  setQuota: (tx, { address, quotaBytes }) => setAccount(tx, address, 'quota', quotaBytes),
  setAccountForward: async (tx, { address, forward }) => {
    const targets = forward === null ? null : JSON.stringify(forward.targets);
    await setAccount(tx, address, 'forward_to', targets);
    await setAccount(tx, address, 'forward_keep', forward?.keep === false ? 0 : 1);
  },
  movePostmaster: async (tx, { address }) => {
    await needAccount(tx, address);
    await tx.run('UPDATE account SET postmaster = 0 WHERE postmaster = 1');
    await tx.run('UPDATE account SET postmaster = 1 WHERE name = $1', [lookupName(address)]);
  },
  addAlias: async (tx, { address, targets }) => {
    const name = await needFree(tx, address);
    await tx.run('INSERT INTO alias (name, address, domain, targets) VALUES ($1, $2, $3, $4)', [
      name,
      address,
      domainPart(address),
      JSON.stringify(targets),
    ]);
  },
  removeAlias: async (tx, { address }) => {
    const gone = await tx.run('DELETE FROM alias WHERE name = $1 RETURNING name', [lookupName(address)]);
    if (gone.length === 0) throw new StorageError('not-found', `there is no alias ${address}`);
  },
};

/** Makes a change, and counts the directory's version up for all nodes. */
export async function changeDirectory<K extends DirectoryChange>(
  { tx, flags }: WriteContext,
  type: K,
  input: In<WriteOps, K>,
): Promise<unknown> {
  await tx.run("SELECT value FROM sequence WHERE name = 'directory_version' FOR UPDATE");
  const value = await DIRECTORY[type](tx, input);
  const [row] = await tx.run<{ value: number }>(
    `INSERT INTO sequence AS s (name, value) VALUES ('directory_version', 1)
     ON CONFLICT (name) DO UPDATE SET value = s.value + 1 RETURNING value`,
  );
  flags.directoryVersion = row?.value ?? null;
  return value;
}

function forwardColumns(forward: Domain['forward']): [string | null, number | null, string | null] {
  if (forward === null) return [null, null, null];
  return 'host' in forward ? [forward.host, forward.port, null] : [null, null, forward.address];
}

/** The first account made is the server's postmaster. */
async function addAccount(tx: Runner, input: In<WriteOps, 'addAccount'>): Promise<Account> {
  const { address, passwordHash, quotaBytes } = input;
  const name = await needFree(tx, address);
  const others = await tx.run('SELECT id FROM account LIMIT 1');
  const nowMs = await databaseTime(tx);
  const [row] = await tx.run<AccountRow>(
    `INSERT INTO account (name, address, domain, password_hash, quota, created_at, postmaster)
     VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *`,
    [name, address, domainPart(address), passwordHash, quotaBytes, nowMs, others.length === 0 ? 1 : 0],
  );
  // An account made again in the same second must not look like the old mailbox.
  const [validity] = await tx.run<{ value: number }>(
    `INSERT INTO sequence AS s (name, value) VALUES ('uidvalidity', $1)
     ON CONFLICT (name) DO UPDATE SET value = greatest(s.value + 1, excluded.value) RETURNING value`,
    [Math.floor(nowMs / 1000)],
  );
  if (row === undefined || validity === undefined) throw new Error('an insert returned nothing');
  await tx.run(
    "INSERT INTO mailbox (account_id, name, uidvalidity, uidnext, modseq) VALUES ($1, 'INBOX', $2, 1, 1)",
    [row.id, validity.value],
  );
  return accountOf(row);
}

async function setAccount(
  tx: Runner,
  address: string,
  column: 'password_hash' | 'enabled' | 'quota' | 'forward_to' | 'forward_keep',
  value: string | number | null,
): Promise<number> {
  const { id } = await needAccount(tx, address);
  await tx.run(`UPDATE account SET ${column} = $1 WHERE id = $2`, [value, id]);
  return id;
}

async function needDomain(tx: Runner, name: string): Promise<void> {
  const found = await tx.run('SELECT name FROM domain WHERE name = $1', [name]);
  if (found.length === 0) throw new StorageError('not-found', `there is no domain ${name}`);
}

async function needAccount(tx: Runner, address: string): Promise<AccountRow> {
  const [row] = await tx.run<AccountRow>('SELECT * FROM account WHERE name = $1', [lookupName(address)]);
  if (row === undefined) throw new StorageError('not-found', `there is no account ${address}`);
  return row;
}

/** Lookup name of an address in a hosted domain that nobody has yet. */
async function needFree(tx: Runner, address: Alias['address']): Promise<string> {
  const name = lookupName(address);
  await needDomain(tx, domainPart(address));
  const [account] = await tx.run('SELECT id FROM account WHERE name = $1', [name]);
  if (account !== undefined) throw new StorageError('conflict', `the account ${address} exists already`);
  const [alias] = await tx.run('SELECT name FROM alias WHERE name = $1', [name]);
  if (alias !== undefined) throw new StorageError('conflict', `the alias ${address} exists already`);
  return name;
}
