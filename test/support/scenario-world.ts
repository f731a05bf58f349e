/** What scenarios share: one server, one DNS server, one outbound port, and the addresses peers listen at. */

import { createHash, X509Certificate } from 'node:crypto';
import { type Authority, makeAuthority, makeSelfSigned, type ServerCertificate } from './certificates.ts';
import { type AccountInput, type CleanUp, type Cmail, type Endpoint, startCmail } from './cmail.ts';
import { collectMail } from './collect.ts';
import { type DnsServer, startDnsServer } from './dns-server.ts';
import { startFullBacklog } from './full-backlog.ts';
import { servePolicies } from './policy-server.ts';
import { findTool } from './require.ts';
import {
  readWorld,
  type Scenario,
  type ScenarioFile,
  type ScenarioPeer,
  type WorldFile,
} from './scenario-format.ts';
import { type PeerScript, type SmtpPeer, startSmtpPeer } from './smtp-peer.ts';

const POLICY_SERVER = '127.0.19.1';
export const PASSWORD = 'secret-password';

interface ListedSetting {
  readonly key: string;
  readonly value: unknown;
}

type PeerCertificates = Readonly<Record<NonNullable<ScenarioPeer['tls']>, ServerCertificate>>;

/** A scenario's surroundings while it runs. */
export interface Stage {
  readonly server: Cmail;
  readonly dns: DnsServer;
  readonly peers: ReadonlyMap<string, SmtpPeer>;
  readonly addresses: Readonly<Record<string, string>>;
  /** Messages that came to a mailbox since the scenario began. */
  mailbox(address: string): Promise<Buffer[]>;
  script(peer: ScenarioPeer): PeerScript;
}

export class ScenarioWorld {
  readonly #t: CleanUp;
  readonly #folder: string;
  readonly #dns: DnsServer;
  readonly #port: number;
  readonly #file: WorldFile;
  #shared: Promise<Cmail> | undefined;
  #usual: Readonly<Record<string, string>> = {};
  #changed: readonly string[] = [];
  #count = 0;
  /** The servers trust it; null without openssl. */
  readonly #authority: Authority | null;
  #certificates: PeerCertificates | undefined;

  private constructor(t: CleanUp, folder: string, dns: DnsServer, port: number, authority: Authority | null) {
    this.#t = t;
    this.#folder = folder;
    this.#dns = dns;
    this.#port = port;
    this.#authority = authority;
    this.#file = readWorld(this.#folder, { port: String(port) });
  }

  static async open(t: CleanUp, folder: string): Promise<ScenarioWorld> {
    const dns = await startDnsServer({}, { negativeTtlSeconds: 60 });
    t.after(() => dns.close());
    // The outbound port is one setting, so all peers listen on the same port of addresses of their own.
    const probe = await startSmtpPeer({}, { address: '127.0.9.9' });
    await probe.close();
    const authority = findTool('openssl') === null ? null : await makeAuthority(t);
    return new ScenarioWorld(t, folder, dns, probe.port, authority);
  }

  get #config() {
    return { hostname: this.#file.hostname, dns: { servers: [this.#dns.address] } };
  }

  get #env() {
    return this.#authority === null ? undefined : { NODE_EXTRA_CA_CERTS: this.#authority.caFile };
  }

  /** Sets the stage for a scenario; `t` clears it afterwards. */
  async prepare(t: CleanUp, file: ScenarioFile): Promise<{ scenario: Scenario; stage: Stage }> {
    this.#count += 1;
    const { ownServer, noResolver, dns } = file.read({});
    const shared = ownServer ? undefined : await this.#sharedServer();
    const { hostname, settings } = this.#file;
    const config = noResolver ? { hostname } : this.#config;
    const server = shared ?? (await startCmail(t, { config, settings, env: this.#env }));
    const addresses: Record<string, string> = {
      port: String(this.#port),
      smtpPort: String(server.listeners.smtp.port),
      hostname,
      policyServer: POLICY_SERVER,
    };
    file.peerNames.forEach((name, at) => {
      addresses[name] = `127.0.${20 + this.#count}.${at + 1}`;
    });
    this.#certificates = file.usesTls ? await this.#makeCertificates(t, Object.keys(dns)) : undefined;
    const signed = this.#certificates?.signed;
    if (signed !== undefined) addresses.signedKey = keyDigest(signed);
    const scenario = file.read(addresses);
    for (const [name, records] of Object.entries(scenario.dns)) this.#dns.set(name, ...records);
    if (file.usesPolicies && signed !== undefined) {
      const { policies } = scenario;
      await servePolicies(t, { address: POLICY_SERVER, certificate: signed, policies });
    }
    const peers = await this.#startPeers(t, scenario, server, addresses);
    await furnish(server, scenario);
    await this.#settle(server, scenario, shared !== undefined);
    const mailbox = mailboxes(server);
    const script = (peer: ScenarioPeer) => this.#script(peer, server.listeners.smtp);
    return { scenario, stage: { server, dns: this.#dns, peers, addresses, mailbox, script } };
  }

  #sharedServer(): Promise<Cmail> {
    this.#shared ??= this.#startShared();
    return this.#shared;
  }

  async #startShared(): Promise<Cmail> {
    const file = this.#file;
    const server = await startCmail(this.#t, {
      config: this.#config,
      settings: file.settings,
      domains: file.domains,
      accounts: file.accounts.map(accountInput),
      aliases: file.aliases,
      env: this.#env,
    });
    await Promise.all([
      ...file.disabled.map((address) => server.run(['account', 'disable', address])),
      ...Object.entries(file.catchAll).map(([name, to]) => server.run(['domain', 'catch-all', name, to])),
    ]);
    const listed = await server.json<ListedSetting[]>(['settings', 'list']);
    this.#usual = Object.fromEntries(listed.map(({ key, value }) => [key, settingText(value)]));
    return server;
  }

  /** One call sets what this scenario wants and puts back what the last one changed. */
  async #settle(server: Cmail, scenario: Scenario, shared: boolean): Promise<void> {
    const wanted = scenario.settings;
    if (!shared) return server.set(wanted);
    const later = scenario.step.flatMap((step) => Object.keys(step.set ?? {}));
    const back = Object.fromEntries(this.#changed.map((key) => [key, this.#usual[key] ?? '']));
    await server.set({ ...back, ...wanted });
    this.#changed = [...Object.keys(wanted), ...later];
  }

  async #startPeers(
    t: CleanUp,
    scenario: Scenario,
    server: Cmail,
    addresses: Readonly<Record<string, string>>,
  ): Promise<Map<string, SmtpPeer>> {
    const peers = new Map<string, SmtpPeer>();
    for (const [name, peer] of Object.entries(scenario.peers)) {
      const place = { address: addresses[name], port: this.#port };
      if (peer.kind === 'closed') continue;
      if (peer.kind === 'full-backlog') {
        const listener = await startFullBacklog(place);
        t.after(() => listener.close());
        continue;
      }
      const started = await startSmtpPeer(this.#script(peer, server.listeners.smtp), place);
      t.after(() => started.close());
      peers.set(name, started);
    }
    return peers;
  }

  async #makeCertificates(t: CleanUp, dnsNames: readonly string[]): Promise<PeerCertificates> {
    if (this.#authority === null) throw new Error('certificates need the openssl command');
    const names = ['peer.test', ...dnsNames.filter((name) => /^[a-z\d]/.test(name))];
    return {
      signed: await this.#authority.issue(names),
      'other-name': await this.#authority.issue(['elsewhere.test']),
      'self-signed': await makeSelfSigned(t, names),
    };
  }

  #script(peer: ScenarioPeer, ourselves: Endpoint): PeerScript {
    const { hostname, extensions, at, recipients, auth, dripMs, handBackAlso, handBackOnly } = peer;
    const tls = peer.tls === undefined ? undefined : this.#certificates?.[peer.tls];
    const handBackTo = peer.handBack ? ourselves : undefined;
    return {
      hostname,
      extensions,
      at,
      recipients,
      auth,
      dripMs,
      tls,
      handBackTo,
      handBackAlso,
      handBackOnly,
    };
  }
}

/** SHA-256 of the public key, in hex, as TLSA `3 1 1` has it. */
function keyDigest({ cert }: ServerCertificate): string {
  const key = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('hex');
}

/** Makes the scenario's own domains, accounts, aliases, catch-alls and forwards. */
async function furnish(server: Cmail, scenario: Scenario): Promise<void> {
  for (const name of scenario.domains) await server.run(['domain', 'add', name]);
  for (const { address, password, quota } of scenario.accounts.map(accountInput)) {
    const limit = quota === undefined ? [] : ['--quota', quota];
    await server.run(['account', 'add', address, '--password-stdin', ...limit], { input: `${password}\n` });
  }
  for (const [name, targets] of Object.entries(scenario.aliases)) {
    await server.run(['alias', 'add', name, ...targets]);
  }
  for (const [name, to] of Object.entries(scenario.catchAll)) {
    await server.run(['domain', 'catch-all', name, to]);
  }
  for (const [name, to] of Object.entries(scenario.forwards)) {
    await server.run(['domain', 'forward', name, '--to', to]);
  }
}

/** Collects mailboxes and keeps what came, so that several steps can look at it. */
function mailboxes(server: Cmail): Stage['mailbox'] {
  const seen = new Map<string, Buffer[]>();
  return async (address) => {
    const messages = [
      ...(seen.get(address) ?? []),
      ...(await collectMail(server.listeners.pop3, address, PASSWORD)),
    ];
    seen.set(address, messages);
    return messages;
  };
}

function accountInput(text: string): AccountInput {
  const [address = '', quota] = text.split(' ');
  return { address, password: PASSWORD, quota };
}

/** A value of `settings list --json` as `settings set` takes it. */
function settingText(value: unknown): string {
  if (Array.isArray(value)) return value.join(',');
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return String(value ?? '');
}
