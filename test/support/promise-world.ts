/** A server with a mailbox and a way to a far peer, and what it has promised its clients. */
import type { CleanUp } from './cmail.ts';
import { type Cmail, startCmail } from './cmail.ts';
import { startDnsServer } from './dns-server.ts';
import { Promises, USER } from './promises.ts';
import { type SmtpPeer, startSmtpPeer } from './smtp-peer.ts';

/** Longest wait for the end of a server whose power went, or that was killed. */
export const END_LIMIT_MS = 10_000;

export interface World {
  readonly cmail: Cmail;
  readonly peer: SmtpPeer;
  readonly promises: Promises;
}

export async function startWorld(t: CleanUp): Promise<World> {
  const peer = await startSmtpPeer({}, { address: '127.0.0.7' });
  t.after(() => peer.close());
  const zones = { 'far.example': ['MX 10 mx.example'], 'mx.example': [`A ${peer.address}`] };
  const dns = await startDnsServer(zones);
  t.after(() => dns.close());
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['local.example'],
    accounts: [USER],
    settings: { 'smtp.outboundPort': String(peer.port), 'smtp.mx.allowPrivateAddresses': 'on' },
  });
  return { cmail, peer, promises: new Promises(cmail, peer) };
}
