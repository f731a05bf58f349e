import { StorageError } from '../contract.js';
import { rowOf } from './writer-context.js';
/** Settings, their history, secrets and counters. */
export class SettingTables {
    #version;
    #setVersion;
    #set;
    #remove;
    #insertChange;
    #reserve;
    #findSecret;
    #insertSecret;
    constructor({ db }) {
        this.#version = db.prepare("SELECT value FROM sequence WHERE name = 'settings_version'");
        this.#setVersion = db.prepare("INSERT OR REPLACE INTO sequence (name, value) VALUES ('settings_version', ?)");
        this.#set = db.prepare('INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)');
        this.#remove = db.prepare('DELETE FROM setting WHERE key = ?');
        this.#insertChange = db.prepare('INSERT INTO setting_change (at, author, key, old, new) VALUES (?, ?, ?, ?, ?)');
        this.#reserve = db.prepare(`INSERT INTO sequence (name, value) VALUES ('message_id', ?1)
      ON CONFLICT (name) DO UPDATE SET value = value + ?1 RETURNING value`);
        this.#findSecret = db.prepare('SELECT value FROM secret WHERE name = ?');
        this.#insertSecret = db.prepare('INSERT INTO secret (name, value) VALUES (?, ?)');
    }
    write(input) {
        const { expectedVersion, author, changes } = input;
        const current = rowOf(this.#version)?.value ?? 0;
        if (current !== expectedVersion) {
            throw new StorageError('conflict', 'the settings were changed by someone else in the meantime: read them again');
        }
        const now = Date.now();
        for (const { key, value, historyOld, historyNew } of changes) {
            if (value === null)
                this.#remove.run(key);
            else
                this.#set.run(key, value);
            this.#insertChange.run(now, author, key, historyOld, historyNew);
        }
        this.#setVersion.run(current + 1);
        return { version: current + 1 };
    }
    /** First number of a block that is given to nobody else. */
    reserveIds(count) {
        const last = rowOf(this.#reserve, count)?.value ?? count;
        return last - count + 1;
    }
    keepSecret(name, value) {
        const found = rowOf(this.#findSecret, name);
        if (found !== undefined)
            return found.value;
        this.#insertSecret.run(name, value);
        return value;
    }
}
