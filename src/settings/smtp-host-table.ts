/** The SMTP hosts, in the order they are tried, and the senders that have one of their own; part of table.ts. */
import { canonicalDomain, parseAddress } from '../mail/address.ts';
import { type Setting, setting } from './definition.ts';
import { parseSmtpHostNumber, type SmtpHostNumber } from './destination-rules.ts';
import { type Parsed, parsed, splitList, unparsed } from './text.ts';
import { choice, hostName, integer, line, type SettingType } from './types.ts';
import type { Settings, SmtpHost, TlsMode } from './values.ts';

const NEXT_ATTEMPT = 'From the next attempt of every queued message, also of those already waiting.';

/** The five settings of one SMTP host. */
export interface SmtpHostSettings {
  readonly which: SmtpHostNumber;
  readonly name: Setting<string>;
  readonly port: Setting<number>;
  readonly tls: Setting<TlsMode>;
  readonly username: Setting<string>;
  readonly password: Setting<string>;
}

function smtpHostSettings(which: SmtpHostNumber): SmtpHostSettings {
  const prefix = `smtp.host${which === 1 ? '' : which}`;
  const label = `SMTP host${which === 1 ? '' : ` ${which}`}`;
  const order =
    which === 1
      ? ''
      : ` Mail goes to it when SMTP host ${which - 1} cannot be reached or does not let us sign in, in the same attempt; and where smtp.destinationRules or smtp.senderHosts name it.`;
  return {
    which,
    name: setting({
      key: `${prefix}.name`,
      label,
      type: hostName(),
      default: '',
      help: `Host name or address of the upstream server (smarthost), found by its address and never by MX. It may not be this server.${order}`,
      effect: NEXT_ATTEMPT,
    }),
    port: setting({
      key: `${prefix}.port`,
      label: `${label} port`,
      type: integer({ min: 1, max: 65535 }),
      default: '25',
      help: `Port of ${which === 1 ? 'the SMTP host' : label}: 25, often 587 with a user name, 465 with implicit TLS.`,
      effect: NEXT_ATTEMPT,
    }),
    tls: setting({
      key: `${prefix}.tls`,
      label: `${label} TLS`,
      type: choice<TlsMode>(['none', 'opportunistic', 'required', 'implicit']),
      default: 'opportunistic',
      help: 'none: never; opportunistic: STARTTLS when offered; required: STARTTLS with a verified certificate or no mail; implicit: TLS from the first byte. A password is sent only under TLS with a verified certificate, or to a loopback address.',
      effect: NEXT_ATTEMPT,
    }),
    username: setting({
      key: `${prefix}.username`,
      label: `${label} user name`,
      type: line(255),
      default: '',
      help: `User name for AUTH at ${which === 1 ? 'the SMTP host' : label}; empty for none.`,
      effect: NEXT_ATTEMPT,
    }),
    password: setting({
      key: `${prefix}.password`,
      label: `${label} password`,
      type: line(255),
      default: '',
      secret: true,
      help: `Password for AUTH at ${which === 1 ? 'the SMTP host' : label}. Kept encrypted and never shown. Give it on standard input: settings set ${prefix}.password --stdin.`,
      effect: NEXT_ATTEMPT,
    }),
  };
}

/** Every SMTP host there can be, in the order they are tried. */
export const SMTP_HOSTS: readonly SmtpHostSettings[] = ([1, 2, 3, 4] as const).map(smtpHostSettings);

const [first, second, third, fourth] = SMTP_HOSTS as [
  SmtpHostSettings,
  SmtpHostSettings,
  SmtpHostSettings,
  SmtpHostSettings,
];

export const smtpHostTable = {
  hostName: first.name,
  hostPort: first.port,
  hostTls: first.tls,
  hostUsername: first.username,
  hostPassword: first.password,
};

export const furtherSmtpHosts = {
  host2Name: second.name,
  host2Port: second.port,
  host2Tls: second.tls,
  host2Username: second.username,
  host2Password: second.password,
  host3Name: third.name,
  host3Port: third.port,
  host3Tls: third.tls,
  host3Username: third.username,
  host3Password: third.password,
  host4Name: fourth.name,
  host4Port: fourth.port,
  host4Tls: fourth.tls,
  host4Username: fourth.username,
  host4Password: fourth.password,
};

/** Every SMTP host entered, in the order to try them. */
export function smtpHostsOf(settings: Pick<Settings, 'smtpHost' | 'furtherSmtpHosts'>): readonly SmtpHost[] {
  return settings.smtpHost === null ? [] : [settings.smtpHost, ...settings.furtherSmtpHosts];
}

/** An envelope sender whose mail goes by an SMTP host of its own. */
export interface SenderHost {
  /** A lower-case address, or `@example.com` for every sender in a domain. */
  readonly sender: string;
  readonly which: SmtpHostNumber;
  /** By the SMTP host also where mail would go by MX resolution. */
  readonly always: boolean;
}

const MAX_SENDER_HOSTS = 500;
const EXAMPLE = 'sales@example.com=2';

/** The entry for an envelope sender: its address before its domain; null without one and for the null sender. */
export function senderHost(
  { senderHosts }: { readonly senderHosts: readonly SenderHost[] },
  sender: string,
): SenderHost | null {
  if (senderHosts.length === 0 || sender === '') return null;
  const address = sender.toLowerCase();
  const domain = address.slice(address.lastIndexOf('@'));
  const of = (wanted: string) => senderHosts.find((one) => one.sender === wanted);
  return of(address) ?? of(domain) ?? null;
}

const senderHostsType: SettingType<readonly SenderHost[]> = {
  name: 'list',
  unit: '',
  range: `senders such as ${EXAMPLE} or "@example.org=3 always"; 0–${MAX_SENDER_HOSTS} entries`,
  parse: parseSenderHosts,
  format: (values) => values.map(formatSenderHost).join(','),
  toJson: (values) => values.map(formatSenderHost),
};

export function formatSenderHost({ sender, which, always }: SenderHost): string {
  return `${sender}=${which}${always ? ' always' : ''}`;
}

function parseSenderHosts(text: string): Parsed<readonly SenderHost[]> {
  const entries = splitList(text);
  if (entries.length > MAX_SENDER_HOSTS) return unparsed(`more than ${MAX_SENDER_HOSTS} entries`);
  const hosts: SenderHost[] = [];
  for (const [index, entry] of entries.entries()) {
    const where = `entry ${index + 1} ("${entry}")`;
    const host = parseSenderHost(entry);
    if (!host.ok) return unparsed(`${where}: ${host.reason}`, host.wouldDo);
    if (hosts.some(({ sender }) => sender === host.value.sender)) {
      return unparsed(`${where}: there is an entry for ${host.value.sender} already`, 'one of them');
    }
    hosts.push(host.value);
  }
  return parsed(Object.freeze(hosts));
}

function parseSenderHost(entry: string): Parsed<SenderHost> {
  const [words = '', always, ...more] = entry.split(/\s+/);
  const equals = words.lastIndexOf('=');
  const which = equals < 1 ? undefined : parseSmtpHostNumber(words.slice(equals + 1));
  if (which === undefined) {
    return unparsed('needs the number of an SMTP host, 1 to 4, behind the sender and "="', EXAMPLE);
  }
  const text = words.slice(0, equals);
  const sender = parseSender(text);
  if (sender === undefined) {
    return unparsed(`"${text}" is neither an address nor @ with a domain`, `sales@example.com=${which}`);
  }
  if (more.length > 0 || (always !== undefined && always.toLowerCase() !== 'always')) {
    const wrong = [always, ...more].join(' ');
    return unparsed(`"${wrong}" is not "always", the only word there may be`, `${sender}=${which} always`);
  }
  return parsed(Object.freeze({ sender, which, always: always !== undefined }));
}

function parseSender(text: string): string | undefined {
  if (text.startsWith('@')) {
    const domain = /[\s@:/[\]=*]/.test(text.slice(1)) ? undefined : canonicalDomain(text.slice(1));
    return domain === undefined ? undefined : `@${domain}`;
  }
  const address = parseAddress(text);
  return address.ok && address.value.domain !== '' ? address.value.text.toLowerCase() : undefined;
}

export const senderHostsSetting = setting({
  key: 'smtp.senderHosts',
  label: 'SMTP hosts of senders',
  type: senderHostsType,
  default: '',
  help: 'Envelope senders whose mail goes by one SMTP host and no other, whenever it goes by an SMTP host: sales@example.com=2, or @example.org=3 for a whole domain. With the word always, as in "@example.org=3 always", also where mail would go by MX resolution. A route= in smtp.destinationRules comes before it.',
  effect: NEXT_ATTEMPT,
});
