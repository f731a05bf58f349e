/** STLS and AUTH as the POP3 session sees them: CAPA in each state, each command in each state, every bad input. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Maildrop } from '../../src/mailbox/maildrop.ts';
import { type Pop3Policy, Pop3Session } from '../../src/pop3/session.ts';

const REMOTE: Pop3Policy = {
  ...{ hostname: 'mail.test', login: 'under-tls', startTls: true },
  ...{ maxErrors: 10, maxFailedLogins: 3 },
};
const LOCAL: Pop3Policy = { ...REMOTE, login: 'always' };
const NO_TLS: Pop3Policy = { ...REMOTE, startTls: false };
const MAILDROP: Maildrop = { accountId: 1, uidValidity: 7, uids: [3], sizesBytes: [10], truncated: false };
const plain = (text: string) => Buffer.from(text, 'latin1').toString('base64');
const GOOD = plain('\0ann\0secret');

class Host {
  readonly session: Pop3Session;
  readonly logins: string[] = [];
  #awaitsTls = false;

  constructor(policy: Pop3Policy) {
    this.session = new Pop3Session(policy);
    this.session.takeOutput();
  }

  feed(text: string): string {
    this.session.receive(Buffer.from(text, 'latin1'));
    for (let action = this.session.next(); action !== null; action = this.session.next()) {
      if (action.type === 'login') {
        this.logins.push(action.user);
        const right = action.password === 'secret';
        this.session.answerLogin(right ? MAILDROP : { failure: 'auth', text: 'wrong' });
      } else if (action.type === 'starttls') this.#awaitsTls = true;
      else if (action.type === 'close') break;
    }
    return this.session.takeOutput().toString('latin1');
  }

  tls(): void {
    if (this.#awaitsTls) this.session.secured();
    this.#awaitsTls = false;
  }
}

/** The last line said after these reads; `TLS` begins it. */
function say(policy: Pop3Policy, ...lines: string[]): string {
  const host = new Host(policy);
  let last = '';
  for (const line of lines) {
    if (line === 'TLS') host.tls();
    else last = host.feed(`${line}\r\n`);
  }
  return last.trimEnd().split('\r\n').at(-1) ?? '';
}

describe('POP3 under TLS', () => {
  const table: [string, Pop3Policy, string[], RegExp][] = [
    ['AUTH PLAIN at once', LOCAL, [`AUTH PLAIN ${GOOD}`], /^\+OK 1 messages/],
    ['AUTH PLAIN after a challenge', LOCAL, ['auth plain', GOOD], /^\+OK 1 messages/],
    ['the challenge', LOCAL, ['AUTH PLAIN'], /^\+$/],
    ['under TLS', REMOTE, ['STLS', 'TLS', `AUTH PLAIN ${GOOD}`], /^\+OK 1 messages/],
    ['USER and PASS under TLS', REMOTE, ['STLS', 'TLS', 'USER ann', 'PASS secret'], /^\+OK 1 messages/],
    ['AUTH in clear', REMOTE, [`AUTH PLAIN ${GOOD}`], /^-ERR \[AUTH\] a login needs TLS/],
    ['USER in clear', REMOTE, ['USER ann'], /^-ERR \[AUTH\] a login needs TLS/],
    ['another mechanism', LOCAL, ['AUTH CRAM-MD5'], /^-ERR the mechanism known here is PLAIN/],
    ['no mechanism', LOCAL, ['AUTH'], /^-ERR the mechanism/],
    ['a word too many', LOCAL, [`AUTH PLAIN ${GOOD} x`], /^-ERR AUTH PLAIN takes one/],
    ['cancelled', LOCAL, ['AUTH PLAIN', '*'], /^-ERR login cancelled/],
    ['no base64', LOCAL, ['AUTH PLAIN', '!!'], /^-ERR not what PLAIN sends/],
    ['bad UTF-8', LOCAL, ['AUTH PLAIN', plain('\0a\0\xff')], /^-ERR not what PLAIN sends/],
    ['nothing', LOCAL, ['AUTH PLAIN ='], /^-ERR not what PLAIN sends/],
    ['for another', LOCAL, ['AUTH PLAIN', plain('bob\0ann\0secret')], /^-ERR \[AUTH\] logging in to act/],
    ['a wrong password', LOCAL, [`AUTH PLAIN ${plain('\0ann\0no')}`], /^-ERR \[AUTH\] wrong/],
    ['a line too long', LOCAL, ['AUTH PLAIN', 'x'.repeat(5000)], /^-ERR the line is too long/],
    [
      'a command after a line too long',
      LOCAL,
      ['AUTH PLAIN', 'x'.repeat(5000), 'STAT'],
      /^-ERR log in first/,
    ],
    ['QUIT instead of an answer', LOCAL, ['AUTH PLAIN', 'QUIT'], /^-ERR not what PLAIN sends/],
    ['STLS instead of an answer', LOCAL, ['AUTH PLAIN', 'STLS'], /^-ERR not what PLAIN sends/],
    ['an answer after a cancelled exchange', LOCAL, ['AUTH PLAIN', '*', GOOD], /^-ERR log in first/],
    ['a NUL too many', LOCAL, ['AUTH PLAIN', plain('\0ann\0sec\0ret')], /^-ERR not what PLAIN sends/],
    ['no name', LOCAL, ['AUTH PLAIN', plain('\0\0secret')], /^-ERR not what PLAIN sends/],
    ['AUTH after USER', LOCAL, ['USER bob', `AUTH PLAIN ${GOOD}`], /^\+OK 1 messages/],
    ['bad UTF-8 in USER and PASS', LOCAL, ['USER \xff\xfe', 'PASS \xc3\x28'], /^-ERR/],
    ['AUTH when logged in', LOCAL, [`AUTH PLAIN ${GOOD}`, `AUTH PLAIN ${GOOD}`], /^-ERR no such command/],
    ['STLS when logged in', LOCAL, [`AUTH PLAIN ${GOOD}`, 'STLS'], /^-ERR no such command/],
    ['STLS twice', LOCAL, ['STLS', 'TLS', 'STLS'], /^-ERR TLS is in use already/],
    ['STLS with an argument', LOCAL, ['STLS now'], /^-ERR STLS takes no argument/],
    ['STLS without a certificate', NO_TLS, ['STLS'], /^-ERR no such command/],
    ['STLS forgets the user', LOCAL, ['USER ann', 'STLS', 'TLS', 'PASS secret'], /^-ERR USER first/],
  ];
  for (const [what, policy, lines, words] of table)
    it(what, () => assert.match(say(policy, ...lines), words));

  it('CAPA tells in each state what can be had', () => {
    const capabilities = (policy: Pop3Policy, ...before: string[]) => {
      const host = new Host(policy);
      for (const line of before) {
        if (line === 'TLS') host.tls();
        else host.feed(`${line}\r\n`);
      }
      const lines = host.feed('CAPA\r\n').trim().split('\r\n');
      return ['USER', 'SASL PLAIN', 'STLS'].filter((one) => lines.includes(one));
    };
    assert.deepEqual(capabilities(REMOTE), ['STLS']);
    assert.deepEqual(capabilities(NO_TLS), []);
    assert.deepEqual(capabilities(LOCAL), ['USER', 'SASL PLAIN', 'STLS']);
    assert.deepEqual(capabilities(REMOTE, 'STLS', 'TLS'), ['USER', 'SASL PLAIN']);
    assert.deepEqual(capabilities(LOCAL, `AUTH PLAIN ${GOOD}`), []);
  });

  it('what is sent in clear behind STLS does nothing, wherever it is cut', () => {
    const injected = `STLS\r\nAUTH PLAIN ${GOOD}\r\nUSER evil\r\nPASS se`;
    for (let cut = 1; cut < injected.length; cut += 1) {
      const host = new Host(LOCAL);
      const output = host.feed(injected.slice(0, cut)) + host.feed(injected.slice(cut));
      assert.equal(output, '+OK begin TLS now\r\n');
      host.tls();
      assert.match(host.feed('cret\r\nNOOP\r\n'), /^-ERR log in first.*\r\n-ERR log in first/);
      assert.deepEqual(host.logins, []);
    }
  });
});
