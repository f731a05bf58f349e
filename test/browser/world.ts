/** A server with something on every page: for the screenshots and for the search for barriers. */

import { makeAdministrator, startCmailWithPage } from '../support/browser.ts';
import { type CleanUp, type Cmail, poll } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { freePort } from '../support/free-port.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';

export interface World {
  readonly cmail: Cmail;
  /** Every page of the administration, by a name for its picture. */
  readonly pages: Readonly<Record<string, string>>;
  /** An account's owner, and every page of hers. */
  readonly owner: { readonly name: string; readonly password: string };
  readonly ownPages: Readonly<Record<string, string>>;
}

const OWNER = { name: 'anna@example.com', password: 'secret-password' };

const SUBJECTS = [
  'Minutes of Monday',
  'Invoice 2041',
  'Holiday plan',
  'Offer for the new hall',
  'Lunch on Friday?',
];

/** Mail delivered, waiting, held and failed; people, aliases, changes of settings. */
export async function startWorld(t: CleanUp): Promise<World> {
  const provider = await startSmtpPeer({
    hostname: 'smtp.provider.example',
    recipients: { 'gone@partner.example': '550 5.1.1 No such user here' },
  });
  t.after(() => provider.close());
  const dns = await startDnsServer({
    'dead.example': ['MX 10 mx1.dead.example', 'MX 20 mx2.dead.example'],
    'mx1.dead.example': ['A 127.0.0.9'],
    'mx2.dead.example': ['A 127.0.0.10'],
    'slow.example': ['!servfail'],
    'partner.example': ['MX 10 mx.partner.example'],
    'mx.partner.example': ['A 127.0.0.1'],
    'smtp.provider.example': ['A 127.0.0.1'],
  });
  t.after(() => dns.close());
  const cmail = await startCmailWithPage(t, {
    config: {
      hostname: 'mail.example.com',
      dns: { servers: [dns.address] },
      listen: { submission: ['127.0.0.1:0'], submissions: ['127.0.0.1:0'], pop3s: ['127.0.0.1:0'] },
    },
    domains: ['example.com', 'branch.example.com'],
    accounts: [
      { address: 'anna@example.com', quota: '2GB' },
      { address: 'bert@example.com', quota: '20KB' },
      { address: 'carla@branch.example.com' },
      { address: 'dora@example.com' },
    ],
    aliases: {
      'sales@example.com': ['anna@example.com', 'bert@example.com'],
      'info@example.com': ['anna@example.com'],
    },
    settings: {
      'smtp.mx.allowPrivateAddresses': 'on',
      'smtp.outboundPort': String(provider.port),
      'smtp.host.name': 'smtp.provider.example',
      'smtp.host.port': String(await freePort('127.0.0.1')),
    },
  });
  await makeAdministrator(cmail);
  await cmail.run(['account', 'disable', 'dora@example.com']);
  await cmail.run(['domain', 'forward', 'branch.example.com', '--to', 'mail.branch.example.com']);
  const story = await sendMail(cmail);
  await cmail.run(['settings', 'set', 'smtp.socketTimeout', '45']);
  await cmail.run(['account', 'app-password', 'add', OWNER.name, 'phone']);
  await cmail.run(['account', 'app-password', 'add', OWNER.name, 'copier', '--scope', 'send']);
  await cmail.run(['account', 'forward', OWNER.name, '--to', 'anna@home.example,dora@example.com']);
  const ownPages = {
    'my-messages': '/',
    'my-message': `/messages/${story}`,
    'my-programs': '/programs',
    'my-password': '/password',
    'my-forwarding': '/forwarding',
    'my-not-found': '/queue',
  };
  return { cmail, pages: pagesOf(story), owner: OWNER, ownPages };
}

async function sendMail(cmail: Cmail): Promise<string> {
  const client = await greeted(cmail.listeners.smtp, 'desk.example.com');
  const send = async (to: string, at: number) => {
    const from = 'anna@example.com';
    const subject = SUBJECTS[at % SUBJECTS.length] ?? '';
    const body = `Dear all,\r\n${'this is line after line of it.\r\n'.repeat(20 * (at + 1))}`;
    return (await client.sendMessage({ from, to: [to], data: letter({ from, to, subject, body }) })).id ?? '';
  };
  const to = [
    'bert@example.com',
    'sales@example.com',
    'erik@partner.example',
    'gone@partner.example',
    'frida@slow.example',
  ];
  for (const [at, address] of to.entries()) await send(address, at);
  const held = await send('greta@dead.example', 1);
  const waiting = await send('hugo@dead.example', 3);
  client.destroy();
  // Whichever of the two came after the first attempt failed would wait for the end of the back-off, untried.
  await cmail.run(['queue', 'retry', '--destination', 'dead.example']);
  await poll('an attempt at dead.example', async () => {
    const { recipients } = await cmail.json<{ recipients: { attempts: number; state: string }[] }>([
      'message',
      waiting,
    ]);
    return recipients.every(({ attempts, state }) => attempts > 0 && state === 'queued');
  });
  await cmail.run(['queue', 'hold', held]);
  return waiting;
}

function pagesOf(story: string): Record<string, string> {
  return {
    dashboard: '/',
    messages: '/messages',
    'message-story': `/messages/${story}`,
    queue: '/queue',
    'queue-destination': '/queue/destination?name=dead.example',
    domains: '/domains',
    accounts: '/accounts',
    'account-sign-ins': `/accounts/sign-ins?address=${OWNER.name}`,
    aliases: '/aliases',
    import: '/import',
    'smtp-configuration': '/configuration/smtp',
    'smtp-advanced': '/configuration/smtp/advanced',
    'settings-history': '/configuration/smtp/history',
    sessions: '/access',
    tokens: '/access/tokens',
    administrators: '/access/administrators',
    'second-factor': '/access/second-factor',
    bans: '/access/bans',
    audit: '/access/audit',
    check: '/check',
    'not-found': '/nowhere',
  };
}
