import { rowOf, rowsOf } from './writer-context.js';
const HISTORY_PAGE = 10_000;
/** Settings, their history and secrets. */
export class SettingReads {
    #version;
    #values;
    #history;
    #change;
    #secret;
    constructor(db) {
        this.#version = db.prepare("SELECT value FROM sequence WHERE name = 'settings_version'");
        this.#values = db.prepare('SELECT key, value FROM setting');
        this.#history = db.prepare('SELECT * FROM setting_change WHERE n < ? ORDER BY n DESC LIMIT ?');
        this.#change = db.prepare('SELECT * FROM setting_change WHERE n = ?');
        this.#secret = db.prepare('SELECT value FROM secret WHERE name = ?');
    }
    read() {
        const version = rowOf(this.#version)?.value ?? 0;
        const rows = rowsOf(this.#values);
        return { version, values: new Map(rows.map(({ key, value }) => [key, value])) };
    }
    history(limit, before) {
        const rows = rowsOf(this.#history, before ?? Number.MAX_SAFE_INTEGER, Math.min(limit, HISTORY_PAGE));
        return rows.map((row) => ({ ...row }));
    }
    change(n) {
        const row = rowOf(this.#change, n);
        return row === undefined ? null : { ...row };
    }
    secret(name) {
        return rowOf(this.#secret, name)?.value ?? null;
    }
}
