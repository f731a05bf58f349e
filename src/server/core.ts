/**
 * Everything of CMail but the open ports: store, settings, directory, decision, routing, notices. The server
 * and the commands that run without one stand on the same core.
 */
import { SecondFactors } from '../admin/second-factor.ts';
import { Directory } from '../directory/directory.ts';
import type { Resolver } from '../dns/contract.ts';
import { DnsHealth } from '../dns/health.ts';
import { createResolver } from '../dns/resolver.ts';
import type { MakeNotices } from '../notices/contract.ts';
import type { DecisionDependencies } from '../receiving/decision.ts';
import { NoticeRate } from '../receiving/notice-rate.ts';
import { Srs } from '../receiving/srs.ts';
import { Trace } from '../receiving/trace.ts';
import { checkDialAddress } from '../routing/dial-check.ts';
import { Router } from '../routing/router.ts';
import { machineAddresses, ourselves, type SelfDescription } from '../routing/self.ts';
import { ForwardProbe } from '../sending/probe.ts';
import { SettingsService } from '../settings/service.ts';
import type { Settings } from '../settings/values.ts';
import type { Storage } from '../storage/contract.ts';
import { guardStore } from '../storage/guard.ts';
import type { TlsPolicies } from '../trust/contract.ts';
import { MtaSts } from '../trust/mta-sts.ts';
import { tlsPolicies } from '../trust/policies.ts';
import { stsFetcher } from '../trust/sts-fetch.ts';
import type { NodeConfig } from './config.ts';
import type { DataFolder } from './data-folder.ts';
import type { Log } from './log.ts';
import { noticeMaker } from './notice-maker.ts';
import { openStore } from './open-store.ts';

const TOKEN_KEY_BYTES = 32;

export interface Core {
  readonly config: NodeConfig;
  readonly folder: DataFolder;
  readonly storage: Storage;
  /** For how long the store has answered nobody, ms; 0 when it does. */
  readonly storeAwayMs: () => number;
  readonly settings: SettingsService;
  readonly secondFactors: SecondFactors;
  readonly resolver: Resolver;
  readonly dnsHealth: DnsHealth;
  readonly router: Router;
  readonly tlsPolicies: TlsPolicies;
  /** False for an address that a name found in DNS must not lead us to. */
  readonly mayDial: (address: string) => boolean;
  readonly decision: DecisionDependencies;
  readonly trace: Trace;
  readonly makeNotices: MakeNotices;
  /** The SMTP listeners; the configured ones until they are open. */
  readonly self: { listeners: SelfDescription['listeners'] };
  close(): Promise<void>;
}

export async function openCore(config: NodeConfig, folder: DataFolder, log: Log): Promise<Core> {
  const self = { listeners: config.listen.smtp.map(({ host, port }) => ({ address: host, port })) };
  const describe = (): SelfDescription => ({ hostname: config.hostname, listeners: self.listeners });
  const { storage: opened, secretKey } = await openStore(config, folder);
  const place = config.store.kind === 'sqlite' ? 'disk' : 'database';
  const { storage, awayMs } = guardStore(opened, { place });
  const isOwnHost = (
    name: string,
    port: number,
    settings: Pick<Settings, 'ownNames' | 'ownAddresses'>,
  ): boolean => ourselves(describe(), settings, machineAddresses()).isOwnHost(name, port);
  const settings = await SettingsService.open(storage, { secretKey, isOwnHost });
  const dnsHealth = new DnsHealth();
  const servers = config.dnsServers.length > 0 ? { servers: config.dnsServers } : {};
  const trusted = config.dnsTrusted === null ? {} : { trusted: config.dnsTrusted };
  const resolver = createResolver({ ...servers, ...trusted, health: dnsHealth });
  const router = new Router({ resolver, self: describe });
  const mayDial = (address: string) => checkDialAddress(address, settings.current().allowPrivateAddresses).ok;
  const sts = new MtaSts({ resolver, store: storage, fetch: stsFetcher({ resolver, mayDial }), log });
  const probe = new ForwardProbe({ hostname: config.hostname, settings: settings.current, routes: router });
  const decision: DecisionDependencies = {
    directory: new Directory(storage),
    noticeRate: new NoticeRate(),
    askForwardHost: (host, port, recipient) => probe.ask(host, port, recipient),
    srs: new Srs(await storage.serverSecret('srs', TOKEN_KEY_BYTES)),
    isOwnLiteral: (domain) => isOwnLiteral(domain, settings.current()),
  };
  const trace = new Trace(await storage.serverSecret('received-token', TOKEN_KEY_BYTES));
  const { hostname } = config;
  const makeNotices = noticeMaker({ hostname, storage, settings: settings.current, decision, log });
  const close = async (): Promise<void> => {
    resolver.close();
    await storage.close();
  };
  return {
    ...{ config, folder, storage, storeAwayMs: awayMs, settings, resolver, dnsHealth },
    secondFactors: new SecondFactors(storage, secretKey),
    ...{
      router,
      tlsPolicies: tlsPolicies({ resolver, sts }),
      mayDial,
      decision,
      trace,
      makeNotices,
      self,
      close,
    },
  };
}

/** `[192.0.2.1]` or `[IPv6:…]` with an address of this machine or of `smtp.ownAddresses`. */
function isOwnLiteral(domain: string, settings: Settings): boolean {
  const address = domain.replace(/^\[(?:IPv6:)?(.*)\]$/i, '$1').toLowerCase();
  return [...machineAddresses(), ...settings.ownAddresses].some((own) => own.toLowerCase() === address);
}
