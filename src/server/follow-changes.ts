/** Puts in force what another node changed in the settings. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../mail/failure.ts';
import type { SettingsService } from '../settings/service.ts';
import type { NodeStore } from '../storage/nodes-contract.ts';
import type { Log } from './log.ts';

/** Wait before the settings are read again when the store could not be read. */
const AGAIN_MS = 1_000;

/**
 * Follows from now on, and looks once for what was changed before. `changed` is called after each change of settings or directory that another node made, when
 * it is in force here. A store that cannot be read is asked again until it can.
 */
export function followChanges(
  store: Pick<NodeStore, 'onChanged'>,
  settings: Pick<SettingsService, 'refresh'>,
  log: Log,
  changed: () => void,
): void {
  let wanted = false;
  let running = false;
  const refresh = async (): Promise<void> => {
    if (running) return;
    running = true;
    while (wanted) {
      wanted = false;
      try {
        if (await settings.refresh()) changed();
      } catch (error) {
        log('warn', 'settings changed by another node cannot be read yet', { why: describeError(error) });
        wanted = true;
        await sleep(AGAIN_MS, undefined, { ref: false });
      }
    }
    running = false;
  };
  const refreshSoon = (): void => {
    wanted = true;
    void refresh();
  };
  store.onChanged((what) => (what === 'directory' ? changed() : refreshSoon()));
  refreshSoon();
}
