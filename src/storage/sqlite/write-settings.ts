import { StorageError } from '../contract.ts';
import type { In, WriteOps } from '../shared/operations.ts';
import { rowOf, type WriterContext } from './writer-context.ts';

/** Settings, their history, secrets and counters. */
export class SettingTables {
  readonly #version;
  readonly #setVersion;
  readonly #set;
  readonly #remove;
  readonly #insertChange;
  readonly #reserve;
  readonly #findSecret;
  readonly #insertSecret;

  constructor({ db }: WriterContext) {
    this.#version = db.prepare("SELECT value FROM sequence WHERE name = 'settings_version'");
    this.#setVersion = db.prepare(
      "INSERT OR REPLACE INTO sequence (name, value) VALUES ('settings_version', ?)",
    );
    this.#set = db.prepare('INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)');
    this.#remove = db.prepare('DELETE FROM setting WHERE key = ?');
    this.#insertChange = db.prepare(
      'INSERT INTO setting_change (at, author, key, old, new) VALUES (?, ?, ?, ?, ?)',
    );
    this.#reserve = db.prepare(`INSERT INTO sequence (name, value) VALUES ('message_id', ?1)
      ON CONFLICT (name) DO UPDATE SET value = value + ?1 RETURNING value`);
    this.#findSecret = db.prepare('SELECT value FROM secret WHERE name = ?');
    this.#insertSecret = db.prepare('INSERT INTO secret (name, value) VALUES (?, ?)');
  }

  write(input: In<WriteOps, 'writeSettings'>): { version: number } {
    const { expectedVersion, author, changes } = input;
    const current = rowOf<{ value: number }>(this.#version)?.value ?? 0;
    if (current !== expectedVersion) {
      throw new StorageError(
        'conflict',
        'the settings were changed by someone else in the meantime: read them again',
      );
    }
    const now = Date.now();
    for (const { key, value, historyOld, historyNew } of changes) {
      if (value === null) this.#remove.run(key);
      else this.#set.run(key, value);
      this.#insertChange.run(now, author, key, historyOld, historyNew);
    }
    this.#setVersion.run(current + 1);
    return { version: current + 1 };
  }

  /** First number of a block that is given to nobody else. */
  reserveIds(count: number): number {
    const last = rowOf<{ value: number }>(this.#reserve, count)?.value ?? count;
    return last - count + 1;
  }

  keepSecret(name: string, value: Uint8Array): Uint8Array {
    const found = rowOf<{ value: Uint8Array }>(this.#findSecret, name);
    if (found !== undefined) return found.value;
    this.#insertSecret.run(name, value);
    return value;
  }
}
