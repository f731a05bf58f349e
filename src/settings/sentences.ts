/** What a change of a setting will do, in one sentence for people. */
import { type allSettings, findSetting } from './table.ts';
import type { Settings } from './values.ts';

/** A value before and after in canonical text; secrets as `(set)` or `(not set)`. */
export interface ShownChange {
  readonly key: string;
  readonly old: string;
  readonly new: string;
}

type Words = (next: string, settings: Settings) => string;

const hostOf = ({ smtpHost }: Settings): string =>
  smtpHost === null ? 'the SMTP host' : `the SMTP host ${smtpHost.name} port ${smtpHost.port}`;

/** Settings whose consequence is more than the new value; the rest are told by label, value and effect. */
const WORDS: Readonly<Record<string, Words>> = {
  'smtp.bufferSize': (next) =>
    `Each connection holds at most ${next} KB of a message before its peer has to wait.`,
  'smtp.socketTimeout': (next) =>
    `A remote address that does not take a connection within ${next} s is given up for the next one.`,
  'smtp.maxIncomingSize': (next) =>
    next === '0'
      ? 'Messages of any size are accepted.'
      : `Messages above ${next} are refused with 552 5.3.4, and SIZE announces it.`,
  'smtp.useMxResolution': (next, settings) =>
    next === 'on'
      ? "External mail goes to the servers in each domain's MX records."
      : `All external mail goes to ${hostOf(settings)}, whatever the MX records say.`,
  'smtp.fallbackToSmtpHost': (next, settings) =>
    next === 'on'
      ? `Mail whose own servers cannot be found or reached goes to ${hostOf(settings)} in the same attempt.`
      : 'Mail whose own servers cannot be found or reached waits in the queue and is tried again.',
  'smtp.outboundPort': (next) => `Servers found by MX resolution are called on port ${next}.`,
  'smtp.refuseUnknownUsers': (next, { assumeExternal }) => {
    if (next === 'off') return "Mail for unknown users is accepted and goes to the domain's postmaster.";
    return assumeExternal
      ? 'Unknown users of hosted domains are taken to be elsewhere: their mail goes to the outgoing queue.'
      : 'Mail for unknown users is refused with 550 5.1.1 at RCPT.';
  },
  'smtp.assumeExternal': (next, { refuseUnknownUsers }) => {
    if (!refuseUnknownUsers) return 'Nothing now: it acts only while unknown users are refused.';
    return next === 'on'
      ? 'Mail for unknown users of hosted domains goes to the outgoing queue, to be delivered elsewhere.'
      : 'Mail for unknown users is refused with 550 5.1.1 at RCPT.';
  },
  'smtp.host.name': (next) => (next === '' ? 'There is no SMTP host any more.' : `The SMTP host is ${next}.`),
  'smtp.destinationRules': (_next, { destinationRules }) => {
    if (destinationRules.length === 0) return 'No destination has a rule of its own.';
    const held = destinationRules.filter(({ hold }) => hold).map(({ pattern }) => pattern);
    const count = `${destinationRules.length} ${destinationRules.length === 1 ? 'rule is' : 'rules are'}`;
    const waiting = held.length === 0 ? '' : ` Held until the rule says otherwise: ${shortList(held)}.`;
    return `${count} in force, for ${shortList(destinationRules.map(({ pattern }) => pattern))}.${waiting}`;
  },
  'smtp.senderHosts': (_next, { senderHosts }) =>
    senderHosts.length === 0
      ? 'No sender has an SMTP host of its own.'
      : `An SMTP host of its own has mail from ${shortList(senderHosts.map(({ sender }) => sender))}.`,
  'smtp.relayNetworks': (next) =>
    next === ''
      ? 'No client may send to other domains without signing in.'
      : `Clients from ${next.split(',').join(', ')} may send to any domain without signing in.`,
  'smtp.queueLifetime': (next) =>
    next === '0'
      ? 'The first failure is final, and the failure notice goes out at once.'
      : `Mail that cannot be delivered is given up after ${next}, and its sender is told.`,
  'smtp.delayNotice': (next) =>
    next === '0'
      ? 'Senders are not told of a delay.'
      : `Senders are told once when their mail waits ${next}.`,
};

/** The first few. */
function shortList(names: readonly (string | null)[]): string {
  const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
  return `${names.slice(0, 5).join(', ')}${more}`;
}

/** `settings` are those after all the changes. */
export function changeSentence(change: ShownChange, settings: Settings): string {
  const setting = findSetting(change.key);
  if (setting === undefined) return '';
  const words = WORDS[change.key]?.(change.new, settings) ?? plainWords(change, setting);
  return `${words} ${setting.effect}`;
}

function plainWords({ old, new: next }: ShownChange, setting: (typeof allSettings)[number]): string {
  if (setting.secret) return `${setting.label} is ${next === '(set)' ? 'replaced' : 'removed'}.`;
  const shown = (text: string) => (text === '' ? 'empty' : text);
  const unit = setting.type.unit === '' || /[a-z]/i.test(next) ? '' : ` ${setting.type.unit}`;
  return `${setting.label} becomes ${shown(next)}${unit} (was ${shown(old)}).`;
}
