/** Strict CRLF over real sockets: what SMTP smuggling tries, and the repair for office machines. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { collectMail } from '../support/collect.ts';
import { type ClientReply, greeted } from '../support/smtp-client.ts';

const PASSWORD = 'secret-password';
const SMUGGLED =
  'MAIL FROM:<evil@far.test>\r\nRCPT TO:<anna@here.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx';
/** Everything but CRLF.CRLF that some server somewhere takes for the end of the data. */
const FALSE_ENDS = [
  '\n.\n',
  '\n.\r\n',
  '\r\n.\n',
  '\r.\r',
  '\r.\r\n',
  '\r\n.\r',
  '\r\n\x00.\r\n',
  '\n\n.\r\n',
  '\r\r\n.\r\r\n',
];

let server: Cmail;
const cleanUps: (() => Promise<void> | void)[] = [];

before(async () => {
  server = await startCmail(
    { after: (action) => void cleanUps.push(action) },
    { domains: ['here.test'], accounts: [{ address: 'anna@here.test', password: PASSWORD }] },
  );
});
after(async () => {
  for (const action of cleanUps.reverse()) await action();
});

/** Sends `data` and the true end, then QUIT; resolves to all replies behind the 354. */
async function sendData(data: string, localAddress: string): Promise<ClientReply[]> {
  const client = await greeted({ ...server.listeners.smtp, localAddress });
  await client.pipeline(['MAIL FROM:<s@far.test>', 'RCPT TO:<anna@here.test>', 'DATA']);
  await client.write(`${data}\r\n.\r\nQUIT\r\n`);
  const replies: ClientReply[] = [];
  for (let last = 0; last !== 221; ) {
    const reply = await client.reply();
    replies.push(reply);
    last = reply.code;
  }
  await client.ended();
  return replies;
}

/** What came since the last call; collecting empties the mailbox. */
const mailbox = () => collectMail(server.listeners.pop3, 'anna@here.test', PASSWORD);

describe('an end of data that is none', () => {
  for (const end of FALSE_ENDS) {
    it(`${JSON.stringify(end)} ends nothing, and no second message comes out of it`, async () => {
      const replies = await sendData(`Subject: one\r\n\r\nbody${end}${SMUGGLED}`, '127.0.0.2');
      const bare = /\r(?!\n)|(?<!\r)\n/.test(end);
      assert.deepEqual(
        replies.map(({ code, enhanced }) => `${code} ${enhanced}`),
        [bare ? '550 5.5.2' : '250 2.0.0', '221 2.0.0'],
      );
      assert.equal((await mailbox()).length, bare ? 0 : 1);
    });
  }
});

describe('smtp.bareNewline = normalise', () => {
  it('repairs for relay networks only', async () => {
    await server.set({ 'smtp.bareNewline': 'normalise' });
    const text = 'Subject: copier\n\npage\rone\n.\nend';
    assert.equal((await sendData(text, '127.0.0.2'))[0]?.enhanced, '5.5.2');
    assert.equal((await sendData(text, '127.0.0.1'))[0]?.code, 250);
    const mail = await mailbox();
    assert.equal(mail.length, 1);
    assert.match(String(mail.at(-1)), /\r\nSubject: copier\r\n\r\npage\r\none\r\n\.\r\nend\r\n$/);
  });
});
