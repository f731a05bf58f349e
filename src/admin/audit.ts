/** What the audit says of an operation. Secrets are never among the words. */

const MAX_DETAILS = 1_000;

type Values = Readonly<Record<string, unknown>>;
type Describe = (args: Values, result: Values) => string | null;

const named: Describe = ({ name, address, id }) => words(name ?? address ?? id);

/** Operations that change something or show mail; the others leave no trace. */
const DESCRIPTIONS: Readonly<Record<string, Describe>> = {
  'settings.set': (_, result) => changed(result),
  'settings.apply': ({ dryRun }, result) => (dryRun === true ? null : changed(result)),
  'settings.revert': ({ n }, result) => `entry ${words(n)}: ${changed(result) ?? 'nothing to change'}`,
  'settings.revertTo': ({ dryRun }, result) => (dryRun === true ? null : changed(result)),
  'domain.add': named,
  'domain.remove': named,
  'domain.forward': ({ name, to }) => `${words(name)} to ${words(to)}`,
  'domain.catchAll': ({ name, address }) => `${words(name)}: ${words(address)}`,
  'account.add': named,
  'account.remove': named,
  'account.password': named,
  'account.enable': named,
  'account.disable': named,
  'account.quota': ({ address, quota }) => `${words(address)}: ${words(quota)}`,
  'account.postmaster': named,
  'account.appPassword.add': ({ address, name }, { scopes }) =>
    `${words(address)}: ${words(name)} (${words(scopes)})`,
  'account.appPassword.revoke': ({ address, name }) => `${words(address)}: ${words(name)}`,
  'account.forward': (_, { address, forward }) => `${words(address)} ${forwardWords(forward)}`,
  'me.password': (_, { address }) => words(address),
  'me.endSessions': (_, { address }) => words(address),
  'alias.add': ({ address, targets }) => `${words(address)} to ${words(targets)}`,
  'alias.set': ({ address, targets }) => `${words(address)} to ${words(targets)}`,
  'alias.remove': named,
  'directory.import': ({ dryRun }, { added }) => (dryRun === true ? null : `${words(added)} added`),
  'queue.retry': selected,
  'queue.end-back-off': ({ selector }) => JSON.stringify(selector),
  'queue.hold': selected,
  'queue.release': selected,
  'queue.delete': (args, result) =>
    `${selected(args, result)}${args.notice === true ? ', senders told' : ', without a notice'}`,
  'message.source': ({ id, fromByte }) => (Number(fromByte ?? 0) > 0 ? null : words(id)),
  'message.test': ({ to }, { id }) => `to ${words(to)}: ${words(id)}`,
  'mail.show': ({ address, uid, fromByte }) =>
    Number(fromByte ?? 0) > 0 ? null : `${words(address)}, mail ${uid === null ? '(newest)' : words(uid)}`,
  'administrator.add': named,
  'administrator.password': named,
  'administrator.remove': named,
  'secondFactor.turnOn': subject,
  'secondFactor.turnOff': subject,
  'secondFactor.reset': subject,
  'access.unban': ({ network }) => words(network),
  'session.end': named,
  'session.endAll': named,
  'token.add': ({ name, scopes, days }) => `${words(name)}: ${words(scopes)}, ${words(days)} days`,
  'token.revoke': named,
  'node.hostname': ({ hostname }) => words(hostname),
};

/** null when the operation leaves no trace. */
export function auditDetails(name: string, args: unknown, result: unknown): string | null {
  const describe = DESCRIPTIONS[name];
  if (describe === undefined) return null;
  const details = describe((args ?? {}) as Values, (result ?? {}) as Values);
  return details === null ? null : details.slice(0, MAX_DETAILS);
}

/** Secrets come as `(set)` already. */
function changed({ changes }: Values): string | null {
  if (!Array.isArray(changes) || changes.length === 0) return null;
  return changes
    .map(({ key, old, new: next }: Record<string, string>) => `${key}: ${old || '""'} → ${next || '""'}`)
    .join('; ');
}

function subject({ subject }: Values): string {
  const { kind, name } = (subject ?? {}) as { kind?: string; name?: string };
  return `${words(kind)} ${words(name)}`;
}

function selected({ selector }: Values, { recipients }: Values): string {
  const which = (selector ?? {}) as { ids?: string[]; destination?: string };
  const what =
    which.ids !== undefined
      ? which.ids.slice(0, 20).join(', ')
      : which.destination !== undefined
        ? `destination ${which.destination}`
        : 'all';
  return `${what} (${words(recipients)} recipients)`;
}

function forwardWords(forward: unknown): string {
  if (forward === null || forward === undefined) return 'forwards to nobody';
  const { targets, keep } = forward as Values;
  return `forwards to ${words(targets)}, ${keep === true ? 'with' : 'without'} a copy kept`;
}

function words(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : String(value);
}
