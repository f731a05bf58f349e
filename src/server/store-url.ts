/** `store.url` of cmail.toml: which engine keeps the store, and where. */
import { isIPv4 } from 'node:net';
import { failed, ok, type Result } from '../mail/failure.ts';

export type StorePlace =
  /** `cmail.db` in the data folder. */
  | { readonly kind: 'sqlite' }
  /** `shown` is the URL without the password, for people and logs. */
  | { readonly kind: 'postgres'; readonly url: string; readonly shown: string };

/** What is wrong with a URL and what would do; `shown` is the text without its password. */
export interface StoreUrlError {
  readonly shown: string;
  readonly reason: string;
  readonly wouldDo: string;
}

const EXAMPLE = '"postgres://cmail:password@db.example.com:5432/cmail"';
const SSL_MODES = ['disable', 'prefer', 'require', 'verify-full'];
/** The server that takes writes, of several: the one that was promoted after a failover. */
const SESSION_ATTRIBUTES = ['read-write', 'primary'];
const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  sslmode: SSL_MODES,
  target_session_attrs: SESSION_ATTRIBUTES,
};

/** Without the password, whatever else may be wrong with the text. */
export function withoutPassword(url: string): string {
  return url.replace(/:\/\/([^:]*):.*@/s, '://$1:***@');
}

/**
 * Reads `sqlite` or `postgres://user:password@host:port/database?sslmode=…`; several hosts are parted by commas.
 * Between machines TLS is used where the server offers it, unless `sslmode` says otherwise.
 */
export function parseStoreUrl(text: string): Result<StorePlace, StoreUrlError> {
  if (text === 'sqlite') return ok({ kind: 'sqlite' });
  const shown = withoutPassword(text);
  const refuse = (reason: string, wouldDo = `${EXAMPLE} would do`): Result<StorePlace, StoreUrlError> =>
    failed({ shown, reason, wouldDo: `${wouldDo}.` });
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return refuse('it is not a URL', `"sqlite" or ${EXAMPLE} would do`);
  if (scheme !== 'postgres' && scheme !== 'postgresql')
    return refuse(`there is no engine ${scheme}`, `"sqlite" or ${EXAMPLE} would do`);
  const parts = /^[^:]+:\/\/(?:([^@/?#\s]*)@)?([^@/?#\s]*)(?:\/([^@/?#\s]*))?(?:\?([^@#\s]*))?$/.exec(text);
  if (parts === null)
    return refuse(
      'its parts cannot be told apart',
      'In user name and password, write @ / ? # : % and spaces as %40 %2F %3F %23 %3A %25 %20',
    );
  const [, user, hosts = '', database = '', query = ''] = parts;
  if (hosts === '') return refuse('it names no host');
  if (database === '') return refuse('it names no database');
  if (![user ?? '', database].every(canBeDecoded))
    return refuse('a % in it stands for no character', 'Write a % itself as %25');
  const places = hosts.split(',');
  const wrong = places.find((place) => !isHost(place));
  if (wrong !== undefined)
    return refuse(
      `${wrong} is not a host with a port`,
      'A name or IPv4 address such as "db.example.com:5432" would do',
    );
  const options = readOptions(query);
  if (!options.ok) return refuse(options.failure.reason, options.failure.wouldDo);
  if (places.length > 1) options.value.target_session_attrs ??= 'read-write';
  if (!places.every(isLoopback)) options.value.sslmode ??= 'prefer';
  const search = new URLSearchParams(options.value).toString();
  const account = user === undefined ? '' : `${user}@`;
  const url = `postgres://${account}${hosts}/${database}${search === '' ? '' : `?${search}`}`;
  return ok({ kind: 'postgres', url, shown: withoutPassword(url) });
}

function readOptions(
  query: string,
): Result<Record<string, string>, { readonly reason: string; readonly wouldDo: string }> {
  const options: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(query)) {
    const known = OPTIONS[name];
    if (known === undefined) {
      const names = Object.keys(OPTIONS).join(' and ');
      return failed({ reason: `there is no option ${name}`, wouldDo: `Known are ${names}` });
    }
    if (!known.includes(value)) {
      return failed({ reason: `${name} cannot be ${value}`, wouldDo: `${known.join(', ')} would do` });
    }
    options[name] = value;
  }
  return ok(options);
}

function isHost(text: string): boolean {
  const [, name = '', port] = /^([a-zA-Z0-9._-]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  return name !== '' && (port === undefined || (Number(port) > 0 && Number(port) < 65_536));
}

function isLoopback(place: string): boolean {
  const name = place.replace(/:\d+$/, '');
  return name === 'localhost' || (isIPv4(name) && name.startsWith('127.'));
}

function canBeDecoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
