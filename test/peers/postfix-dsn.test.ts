/** What is asked of notices, with Postfix on the other side: passed on to it, and passed on by it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { collectMail } from '../support/collect.ts';
import { freePort } from '../support/free-port.ts';
import { type Postfix, requirePostfix, startPostfix } from '../support/postfix.ts';
import { greeted, letter } from '../support/smtp-client.ts';

const ANNA = 'anna@local.example';
const PASSWORD = 'secret-password';
const WAIT_MS = 45_000;

/** CMail hands everything outside to Postfix; Postfix hands what is for us to CMail and keeps the rest. */
async function startBoth(t: Parameters<typeof startPostfix>[0]): Promise<{ cmail: Cmail; postfix: Postfix }> {
  const smtpPort = await freePort('127.0.0.1');
  const relay = { domain: 'local.example', host: '127.0.0.1', port: smtpPort };
  const postfix = await startPostfix(t, { relay });
  const cmail = await startCmail(t, {
    config: { listen: { smtp: [`127.0.0.1:${smtpPort}`] } },
    domains: ['local.example'],
    accounts: [{ address: ANNA, password: PASSWORD }],
    settings: {
      'smtp.useMxResolution': 'off',
      'smtp.host.name': postfix.host,
      'smtp.host.port': String(postfix.port),
      'smtp.host.tls': 'none',
    },
  });
  return { cmail, postfix };
}

interface Asked {
  readonly from: string;
  readonly to: string;
  readonly mail: string;
  readonly rcpt: string;
}

async function send(place: { host: string; port: number }, { from, to, mail, rcpt }: Asked): Promise<string> {
  const client = await greeted(place);
  try {
    const data = letter({ from, to, subject: 'asked' });
    const sent = await client.sendMessage({
      ...{ from, to: [to], data, mailParameters: mail, recipientParameters: [rcpt] },
    });
    assert.equal(sent.end?.code, 250, JSON.stringify(sent));
    await client.quit();
    return sent.id ?? '';
  } finally {
    client.destroy();
  }
}

function unfolded(message: Buffer | string): string {
  return message.toString().replace(/\r?\n[ \t]+/g, ' ');
}

test('Postfix gets what was asked through CMail, and its success notice comes back through CMail', async (t) => {
  if (!requirePostfix(t)) return;
  const { cmail, postfix } = await startBoth(t);
  const id = await send(cmail.listeners.smtp, {
    ...{ from: ANNA, to: 'x@far.example', mail: 'RET=HDRS ENVID=Order+2B7' },
    rcpt: 'NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;X+2B1@far.example',
  });
  await postfix.waitForCount(1, WAIT_MS);
  const { host, port } = cmail.listeners.pop3;
  const notice = await cmail.waitFor(
    "Postfix's notice in the mailbox",
    async () => (await collectMail({ host, port }, ANNA, PASSWORD, { keep: true }))[0],
    WAIT_MS,
  );
  const text = unfolded(notice);
  assert.match(text, /^Return-Path: <>/);
  assert.match(text, /^Reporting-MTA: dns; peer\.example$/m);
  assert.match(text, /^Original-Envelope-Id: Order\+7$/m);
  assert.match(text, /^Original-Recipient: rfc822; ?X\+1@far\.example$/im);
  assert.match(text, /^Final-Recipient: rfc822; x@far\.example$/im);
  assert.match(text, /^Action: delivered$/m);
  const { events } = await cmail.json<{ events: { kind: string; dsnPassedOn?: boolean }[] }>(['message', id]);
  assert.equal(events.find(({ kind }) => kind === 'delivered')?.dsnPassedOn, true);
  assert.ok(!events.some(({ kind }) => kind === 'notice'), 'no notice of ours');
});

test('Postfix as client passes NOTIFY to CMail, and the success notice goes back to its sender', async (t) => {
  if (!requirePostfix(t)) return;
  const { cmail, postfix } = await startBoth(t);
  await send(postfix, {
    ...{ from: 's@far.example', to: ANNA, mail: 'RET=HDRS ENVID=abc' },
    rcpt: `NOTIFY=SUCCESS ORCPT=rfc822;${ANNA}`,
  });
  await postfix.waitForCount(1, WAIT_MS);
  const [kept] = await postfix.messages();
  const text = unfolded(kept ?? '');
  assert.match(text, /^X-Original-To: s@far\.example$/m);
  assert.match(text, /^Original-Envelope-Id: abc$/m);
  assert.match(text, /^Original-Recipient: rfc822; anna@local\.example$/m);
  assert.match(text, /^Action: delivered$/m);
  assert.match(text, /arrived in the mailbox/);
  const { host, port } = cmail.listeners.pop3;
  const mail = await collectMail({ host, port }, ANNA, PASSWORD, { keep: true });
  assert.equal(mail.length, 1);
});
