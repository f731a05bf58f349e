import { StorageError } from '../contract.ts';
import type { In, WriteOps } from '../shared/operations.ts';
import { databaseTime, type WriteContext } from './write-context.ts';

export async function writeSettings(
  { tx, flags }: WriteContext,
  input: In<WriteOps, 'writeSettings'>,
): Promise<{ version: number }> {
  const { expectedVersion, author, changes } = input;
  const [row] = await tx.run<{ value: number }>(
    "SELECT value FROM sequence WHERE name = 'settings_version' FOR UPDATE",
  );
  const current = row?.value ?? 0;
  if (current !== expectedVersion) {
    throw new StorageError(
      'conflict',
      'the settings were changed by someone else in the meantime: read them again',
    );
  }
  const nowMs = await databaseTime(tx);
  for (const { key, value, historyOld, historyNew } of changes) {
    if (value === null) await tx.run('DELETE FROM setting WHERE key = $1', [key]);
    else {
      await tx.run(
        'INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
        [key, value],
      );
    }
    await tx.run('INSERT INTO setting_change (at, author, key, old, new) VALUES ($1, $2, $3, $4, $5)', [
      nowMs,
      author,
      key,
      historyOld,
      historyNew,
    ]);
  }
  const version = current + 1;
  await tx.run(
    `INSERT INTO sequence (name, value) VALUES ('settings_version', $1)
     ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
    [version],
  );
  flags.settingsVersion = version;
  return { version };
}

/** First number of a block that is given to nobody else, on whatever node. */
export async function reserveIds({ tx }: WriteContext, { count }: { count: number }): Promise<number> {
  const [row] = await tx.run<{ value: number }>(
    `INSERT INTO sequence AS s (name, value) VALUES ('message_id', $1)
     ON CONFLICT (name) DO UPDATE SET value = s.value + $1 RETURNING value`,
    [count],
  );
  if (row === undefined) throw new Error('an insert returned nothing');
  return row.value - count + 1;
}

/** What is kept under a name: `value`, or what was there before. */
export async function keepSecret(
  { tx }: WriteContext,
  { name, value }: { name: string; value: Uint8Array },
): Promise<Uint8Array> {
  await tx.run('INSERT INTO secret (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING', [
    name,
    value,
  ]);
  const [row] = await tx.run<{ value: Uint8Array }>('SELECT value FROM secret WHERE name = $1', [name]);
  if (row === undefined) throw new Error(`the secret ${name} went as it was kept`);
  return Uint8Array.from(row.value);
}
