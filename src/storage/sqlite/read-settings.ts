import type { DatabaseSync } from 'node:sqlite';
import type { SettingChange } from '../contract.ts';
import { rowOf, rowsOf } from './writer-context.ts';

const HISTORY_PAGE = 10_000;

/** Settings, their history and secrets. */
export class SettingReads {
  readonly #version;
  readonly #values;
  readonly #history;
  readonly #change;
  readonly #secret;

  constructor(db: DatabaseSync) {
    this.#version = db.prepare("SELECT value FROM sequence WHERE name = 'settings_version'");
    this.#values = db.prepare('SELECT key, value FROM setting');
    this.#history = db.prepare('SELECT * FROM setting_change WHERE n < ? ORDER BY n DESC LIMIT ?');
    this.#change = db.prepare('SELECT * FROM setting_change WHERE n = ?');
    this.#secret = db.prepare('SELECT value FROM secret WHERE name = ?');
  }

  read(): { version: number; values: Map<string, string> } {
    const version = rowOf<{ value: number }>(this.#version)?.value ?? 0;
    const rows = rowsOf<{ key: string; value: string }>(this.#values);
    return { version, values: new Map(rows.map(({ key, value }) => [key, value])) };
  }

  history(limit: number, before: number | null): SettingChange[] {
    const rows = rowsOf<SettingChange>(
      this.#history,
      before ?? Number.MAX_SAFE_INTEGER,
      Math.min(limit, HISTORY_PAGE),
    );
    return rows.map((row) => ({ ...row }));
  }

  change(n: number): SettingChange | null {
    const row = rowOf<SettingChange>(this.#change, n);
    return row === undefined ? null : { ...row };
  }

  secret(name: string): Uint8Array | null {
    return rowOf<{ value: Uint8Array }>(this.#secret, name)?.value ?? null;
  }
}
