/** Whether an account may forward to some addresses: what is no address, leads nowhere, outside or back to itself. */
import type { Settings } from '../settings/values.ts';
import type { Account, DirectoryStore } from '../storage/contract.ts';
import { type AccountForward, MAX_FORWARD_TARGETS } from '../storage/owner-contract.ts';
import { unknownTargets } from './alias-check.ts';
import { type FieldError, OperationError } from './context.ts';
import { addressArgument } from './operation.ts';

/** Addresses looked at when searching for a loop; a forward that leads to more is taken for one. */
const MAX_SEEN = 1_000;

/** The forward with canonical targets. Rejects with `OperationError`. */
export async function checkedForward(
  directory: DirectoryStore,
  settings: Settings,
  account: Account,
  wanted: { readonly targets: readonly string[]; readonly keep: boolean },
): Promise<AccountForward> {
  const targets = [...new Set(wanted.targets.map(target))];
  if (targets.length === 0 || targets.length > MAX_FORWARD_TARGETS) {
    throw refused(`a forward has 1 to ${MAX_FORWARD_TARGETS} addresses, not ${targets.length}`, '');
  }
  for (const one of targets) {
    const external = (await directory.domain(one.slice(one.lastIndexOf('@') + 1))) === null;
    if (external && !settings.externalForwards) {
      throw refused(`${one} is not an address of this server, and forwards to others are turned off`, '');
    }
    if (await leadsTo(directory, one, account)) {
      throw refused(`${one} leads back to ${account.address}, so mail would go round in a circle`, '');
    }
  }
  const [unknown] = await unknownTargets(directory, targets);
  if (unknown !== undefined) throw refused(`there is no ${unknown} on this server`, '');
  return { targets, keep: wanted.keep };
}

function target(text: string): string {
  try {
    return addressArgument(text.trim());
  } catch (error) {
    if (error instanceof OperationError) throw refused(error.message, 'anna@example.com');
    throw error;
  }
}

function refused(message: string, wouldDo: string): OperationError {
  const errors: FieldError[] = [{ key: 'targets', message, wouldDo }];
  return new OperationError(message, 'Choose another address.', 1, { errors });
}

/** Whether the directory leads from an address to the account, by aliases, tags, catch-alls and other forwards. */
async function leadsTo(directory: DirectoryStore, start: string, account: Account): Promise<boolean> {
  const seen = new Set<string>();
  const open = [start];
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    const address = one.toLowerCase();
    if (seen.has(address)) continue;
    seen.add(address);
    if (seen.size > MAX_SEEN) return true;
    const next = await nextOf(directory, address, account);
    if (next === 'the account') return true;
    open.push(...next);
  }
  return false;
}

async function nextOf(
  directory: DirectoryStore,
  address: string,
  account: Account,
): Promise<readonly string[] | 'the account'> {
  const at = address.lastIndexOf('@');
  const domain = await directory.domain(address.slice(at + 1));
  if (domain === null) return [];
  if (domain.forward !== null) return 'address' in domain.forward ? [domain.forward.address] : [];
  const [base = ''] = address.slice(0, at).split('+', 1);
  const found = (await directory.entry(address)) ?? (await directory.entry(`${base}@${domain.name}`));
  if (found?.type === 'alias') return found.alias.targets;
  if (found?.type === 'account') {
    return found.account.id === account.id ? 'the account' : (found.account.forward?.targets ?? []);
  }
  return domain.catchAll === null ? [] : [domain.catchAll];
}
