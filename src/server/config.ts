/**
 * What a node needs before it can open its store: `cmail.toml`, the environment and the options. Order:
 * option, environment, file, default. Unknown keys are errors; every message names key, value, reason and
 * what would do.
 */
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname as machineName } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { MAIL_SERVICES, type MailServiceName } from '../admin/mail-services.ts';
import { canonicalDomain } from '../mail/address.ts';
import { describeError, failed, ok, type Result } from '../mail/failure.ts';
import { type AcmeNodeConfig, acmeConfig } from './config-acme.ts';
import { type TlsFileConfig, tlsConfig, tlsSchema } from './config-tls.ts';
import { parseStoreUrl, type StorePlace } from './store-url.ts';
import type { TlsConfig } from './tls-service.ts';

export interface Endpoint {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `address:port`, an IPv6 address in brackets. */
export function endpointText({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

export type ListenerName =
  | 'smtp'
  | 'submission'
  | 'submissions'
  | 'pop3'
  | 'pop3s'
  | 'imap'
  | 'imaps'
  | 'adminTls';

export interface NodeConfig {
  /** Absolute path of the data folder. */
  readonly data: string;
  readonly hostname: string;
  /** Who said so; `machine` when nobody did. */
  readonly hostnameFrom: 'environment' | 'file' | 'machine';
  /** The API and the page in clear; null when closed. With TLS: `listen.adminTls`. */
  readonly admin: Endpoint | null;
  readonly listen: Readonly<Record<ListenerName, readonly Endpoint[]>>;
  /** DNS servers as `address:port`; empty for the system's. */
  readonly dnsServers: readonly string[];
  /** Addresses of DNS servers whose DNSSEC validation is believed; null for those on loopback. */
  readonly dnsTrusted: readonly string[] | null;
  readonly store: StorePlace;
  readonly tls: TlsConfig;
  /** Where certificates are obtained; null: they are not. */
  readonly acme: AcmeNodeConfig | null;
  /** Addresses and ranges whose connections begin with a PROXY header. */
  readonly proxies: readonly string[];
  /** Ports at which mail programs find a service, where it is not the listener's or the usual one. */
  readonly publicPorts: Readonly<Partial<Record<MailServiceName, number>>>;
  /** The file read, null without one. */
  readonly file: string | null;
}

export interface ConfigInput {
  readonly dataOption: string | undefined;
  readonly configOption: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder that relative options start from. */
  readonly cwd: string;
}

/** Why a configuration cannot be used: one sentence with the way to mend it. */
export interface ConfigError {
  readonly message: string;
}

/** The folder that holds bin/, src/ or dist/. */
const INSTALLATION = resolve(import.meta.dirname, '../..');
/** Where cmail.toml is looked for when none is named. */
export const INSTALLATION_CONFIG = join(INSTALLATION, 'cmail.toml');
/** Where the build puts the page. */
export const PAGE_FOLDER = join(INSTALLATION, 'dist', 'web');
const DEFAULT_ADMIN = '127.0.0.1:8025';
const DEFAULT_LISTEN: Readonly<Record<ListenerName, readonly string[]>> = {
  smtp: ['127.0.0.1:2525'],
  submission: ['127.0.0.1:2587'],
  submissions: ['127.0.0.1:2465'],
  pop3: ['127.0.0.1:2110'],
  pop3s: ['127.0.0.1:2995'],
  imap: [],
  imaps: [],
  adminTls: [],
};
const SERVICES_THAT_EXIST: readonly ListenerName[] = [
  'smtp',
  'submission',
  'submissions',
  'pop3',
  'pop3s',
  'adminTls',
];
const LISTENERS = Object.keys(DEFAULT_LISTEN) as ListenerName[];

const endpoints = z.array(z.string());
const publicPort = z.number();
const fileSchema = z
  .strictObject({
    data: z.string(),
    hostname: z.string(),
    listen: z
      .strictObject({
        smtp: endpoints,
        submission: endpoints,
        submissions: endpoints,
        pop3: endpoints,
        pop3s: endpoints,
        imap: endpoints,
        imaps: endpoints,
        adminTls: endpoints,
        admin: z.string(),
      })
      .partial(),
    dns: z.strictObject({ servers: endpoints, trusted: endpoints }).partial(),
    store: z.strictObject({ url: z.string() }).partial(),
    tls: tlsSchema,
    proxy: z.strictObject({ from: endpoints }).partial(),
    public: z
      .strictObject({
        submissions: publicPort,
        submission: publicPort,
        pop3s: publicPort,
        pop3: publicPort,
      })
      .partial(),
  })
  .partial();

type FileConfig = z.infer<typeof fileSchema>;

class Refusal extends Error {}

function refuse(where: string, value: unknown, reason: string, wouldDo: string): never {
  throw new Refusal(`${where} = ${JSON.stringify(value)}: ${reason}. ${wouldDo}`);
}

/** Reads the node's configuration. Never throws: what is wrong is the failure. */
export function loadNodeConfig(input: ConfigInput): Result<NodeConfig, ConfigError> {
  try {
    return ok(load(input));
  } catch (error) {
    return failed({ message: error instanceof Refusal ? error.message : describeError(error) });
  }
}

function load(input: ConfigInput): NodeConfig {
  const { env, cwd } = input;
  const named = input.configOption ?? env.CMAIL_CONFIG;
  const file = named === undefined ? defaultFile() : resolve(cwd, named);
  const fromFile = file === null ? {} : readConfigFile(file);
  const base = file === null ? INSTALLATION : dirname(file);
  // A machine's own name may be no host name (an underscore, say); nobody entered it, so it is no error.
  const hostname =
    pick(env.CMAIL_HOSTNAME, fromFile.hostname) ?? canonicalDomain(machineName()) ?? 'localhost';
  const tls = certificates(input, fromFile.tls, base);
  return {
    data: dataFolder(input, fromFile, base),
    hostname: checkHostname(hostname),
    hostnameFrom:
      pick(env.CMAIL_HOSTNAME, undefined) !== undefined
        ? 'environment'
        : fromFile.hostname === undefined
          ? 'machine'
          : 'file',
    admin: adminListener(env.CMAIL_LISTEN_ADMIN ?? fromFile.listen?.admin ?? DEFAULT_ADMIN),
    listen: listeners(env, fromFile),
    dnsServers: dnsServers(list(env.CMAIL_DNS_SERVERS) ?? fromFile.dns?.servers ?? []),
    dnsTrusted: dnsTrusted(list(env.CMAIL_DNS_TRUSTED) ?? fromFile.dns?.trusted),
    store: storePlace(pick(env.CMAIL_STORE_URL, fromFile.store?.url) ?? 'sqlite'),
    tls,
    acme: obtained(input, fromFile.tls, base, checkHostname(hostname), tls),
    proxies: proxies(list(env.CMAIL_PROXY_FROM) ?? fromFile.proxy?.from ?? []),
    publicPorts: publicPorts(env, fromFile),
    file,
  };
}

function certificates(
  { env, cwd }: ConfigInput,
  fromFile: TlsFileConfig | undefined,
  base: string,
): TlsConfig {
  const found = tlsConfig({
    env,
    fromFile,
    fromFileFolder: (path) => resolve(base, path),
    fromCurrentFolder: (path) => resolve(cwd, path),
  });
  if (!('missing' in found)) return found;
  return refuse(found.missing, '', 'its other half is given', 'Name both tls.cert and tls.key, or neither.');
}

function obtained(
  { env, cwd }: ConfigInput,
  fromFile: TlsFileConfig | undefined,
  base: string,
  hostname: string,
  tls: TlsConfig,
): AcmeNodeConfig | null {
  const found = acmeConfig({
    env,
    fromFile: fromFile?.acme,
    hostname,
    ownCertificate: tls.main !== null,
    fromFileFolder: (path) => resolve(base, path),
    fromCurrentFolder: (path) => resolve(cwd, path),
    endpoint,
  });
  if (found.ok) return found.value;
  const { key, value, reason, wouldDo } = found.failure;
  return refuse(key, value, reason, wouldDo);
}

function storePlace(url: string): StorePlace {
  const place = parseStoreUrl(url);
  if (place.ok) return place.value;
  const { shown, reason, wouldDo } = place.failure;
  return refuse('store.url', shown, reason, wouldDo);
}

function defaultFile(): string | null {
  return existsSync(INSTALLATION_CONFIG) ? INSTALLATION_CONFIG : null;
}

function pick(fromEnvironment: string | undefined, fromFile: string | undefined): string | undefined {
  return fromEnvironment === undefined || fromEnvironment === '' ? fromFile : fromEnvironment;
}

/** A comma-separated list of the environment; set but empty is the empty list. */
function list(text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined;
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

function dataFolder(input: ConfigInput, fromFile: FileConfig, base: string): string {
  if (input.dataOption !== undefined) return resolve(input.cwd, input.dataOption);
  if (input.env.CMAIL_DATA !== undefined && input.env.CMAIL_DATA !== '')
    return resolve(input.cwd, input.env.CMAIL_DATA);
  if (fromFile.data !== undefined) return resolve(base, fromFile.data);
  return join(INSTALLATION, 'data');
}

function readConfigFile(file: string): FileConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Refusal(
      `The configuration file ${file} cannot be read: ${describeError(error)}. Name another one with --config.`,
    );
  }
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    throw new Refusal(`The configuration file ${file} is not valid TOML: ${describeError(error).trim()}`);
  }
  const checked = fileSchema.safeParse(raw);
  if (checked.success) return checked.data;
  throw new Refusal(`The configuration file ${file}: ${checked.error.issues.map(issueText).join('; ')}`);
}

function issueText(issue: z.core.$ZodIssue): string {
  const where = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => (where === '' ? key : `${where}.${key}`)).join(', ');
    return `unknown key ${keys}; known are data, hostname, listen.*, dns.servers, dns.trusted, store.url, tls.cert, tls.key, [[tls.extra]], tls.acme.*, proxy.from, public.*`;
  }
  return `${where}: ${issue.message}`;
}

function checkHostname(name: string): string {
  const canonical = canonicalDomain(name);
  if (canonical === undefined) {
    refuse('hostname', name, 'it is not a host name', 'A name such as "mail.example.com" would do.');
  }
  return canonical;
}

function adminListener(text: string): Endpoint | null {
  return text === '' ? null : endpoint('listen.admin', text);
}

function listeners(env: ConfigInput['env'], fromFile: FileConfig): NodeConfig['listen'] {
  const entries = LISTENERS.map((name): [ListenerName, Endpoint[]] => {
    const key = `listen.${name}`;
    const texts =
      list(env[`CMAIL_LISTEN_${name.toUpperCase()}`]) ?? fromFile.listen?.[name] ?? DEFAULT_LISTEN[name];
    if (texts.length > 0 && !SERVICES_THAT_EXIST.includes(name)) {
      refuse(key, texts, `this version has no ${name} service yet`, '[] would do.');
    }
    return [name, texts.map((text) => endpoint(key, text))];
  });
  return Object.fromEntries(entries) as Record<ListenerName, Endpoint[]>;
}

/** `address:port` or `[address]:port`. */
function endpoint(key: string, text: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  if (isIP(host) === 0 || port > 65_535) {
    refuse(key, text, 'it is not an address with a port', '"127.0.0.1:2525" or "[::1]:2525" would do.');
  }
  return { host, port };
}

function proxies(texts: readonly string[]): string[] {
  return texts.map((text) => {
    const [address = '', prefix] = text.split('/', 2);
    const bits = isIP(address) === 6 ? 128 : 32;
    const fits =
      prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) > 0 && Number(prefix) <= bits);
    if (isIP(address) !== 0 && fits) return text;
    return refuse(
      'proxy.from',
      text,
      'it is not an address or a range',
      '"192.0.2.1" or "10.0.0.0/24" would do.',
    );
  });
}

function publicPorts(env: ConfigInput['env'], fromFile: FileConfig): NodeConfig['publicPorts'] {
  const ports: Partial<Record<MailServiceName, number>> = {};
  for (const { name, usualPort } of MAIL_SERVICES) {
    const text = pick(env[`CMAIL_PUBLIC_${name.toUpperCase()}`], fromFile.public?.[name]?.toString());
    if (text === undefined) continue;
    const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
    if (port < 1 || port > 65_535) {
      refuse(
        `public.${name}`,
        text,
        'it is not a port',
        `A number from 1 to 65535 such as ${usualPort} would do.`,
      );
    }
    ports[name] = port;
  }
  return ports;
}

function dnsTrusted(texts: readonly string[] | undefined): readonly string[] | null {
  for (const text of texts ?? []) {
    if (isIP(text) !== 0) continue;
    refuse('dns.trusted', text, 'it is not the address of a DNS server', '"192.0.2.53" would do.');
  }
  return texts ?? null;
}

function dnsServers(texts: readonly string[]): string[] {
  return texts.map((text) => {
    if (isIP(text) !== 0) return isIP(text) === 6 ? `[${text}]:53` : `${text}:53`;
    endpoint('dns.servers', text);
    return text;
  });
}
