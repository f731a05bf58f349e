import { type SettingChange, type SettingsStore, StorageError } from '../../src/storage/contract.ts';

/** The settings part of the storage contract, in memory. */
export class MemorySettingsStore implements SettingsStore {
  version = 0;
  readonly values = new Map<string, string>();
  readonly changes: SettingChange[] = [];

  async readSettings() {
    return { version: this.version, values: new Map(this.values) };
  }

  async writeSettings(input: Parameters<SettingsStore['writeSettings']>[0]) {
    if (input.expectedVersion !== this.version) throw new StorageError('conflict', 'changed since');
    for (const { key, value, historyOld, historyNew } of input.changes) {
      if (value === null) this.values.delete(key);
      else this.values.set(key, value);
      const n = this.changes.length + 1;
      this.changes.push({ n, at: 1000 * n, author: input.author, key, old: historyOld, new: historyNew });
    }
    this.version += 1;
    return { version: this.version };
  }

  async settingsHistory({ limit, before }: { limit: number; before?: number }) {
    const older = this.changes.filter(({ n }) => n < (before ?? Number.POSITIVE_INFINITY));
    return older.toReversed().slice(0, limit);
  }

  async settingChange(n: number) {
    return this.changes[n - 1] ?? null;
  }

  async serverSecret(_name: string, bytes: number) {
    return new Uint8Array(bytes);
  }

  async keepSecret(_name: string, value: Uint8Array) {
    return value;
  }
}
