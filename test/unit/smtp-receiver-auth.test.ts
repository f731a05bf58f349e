/** Sign-in and STARTTLS as the receiving session sees them: each command in each state, and every bad input. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ReceiverPolicy } from '../../src/smtp/receiver-contract.ts';
import { Driver, LOCAL, POLICY, SUBMISSION } from './smtp-receiver-driver.ts';

const b64 = (text: string) => Buffer.from(text, 'latin1').toString('base64');
const GOOD = b64('\0a\0pass');

/** The status of the last reply to each of these reads; `TLS` begins it. */
function say(policy: ReceiverPolicy, ...lines: string[]): string[] {
  const driver = new Driver(policy);
  return lines.flatMap((line) => {
    if (line === 'TLS') {
      driver.tlsReady();
      return [];
    }
    const last = driver.feed(`${line}\r\n`).trimEnd().split('\r\n').at(-1) ?? '';
    return [/^\d{3}(?: [245]\.\d+\.\d+)?/.exec(last)?.[0] ?? last];
  });
}

const UNDER_TLS = ['EHLO c', 'STARTTLS', 'TLS', 'EHLO c'];

describe('AUTH', () => {
  const table: [string, ReceiverPolicy, string[], string][] = [
    ['PLAIN with an initial response', LOCAL, ['EHLO c', `AUTH PLAIN ${GOOD}`], '235 2.7.0'],
    ['PLAIN after a challenge', LOCAL, ['EHLO c', 'AUTH PLAIN', GOOD], '235 2.7.0'],
    ['PLAIN for oneself', LOCAL, ['EHLO c', `auth plain ${b64('A\0a\0pass')}`], '235 2.7.0'],
    ['LOGIN', LOCAL, ['EHLO c', 'AUTH LOGIN', b64('a'), b64('pass')], '235 2.7.0'],
    ['LOGIN with the name at once', LOCAL, ['EHLO c', `AUTH LOGIN ${b64('a')}`, b64('pass')], '235 2.7.0'],
    ['under TLS', SUBMISSION, [...UNDER_TLS, `AUTH PLAIN ${GOOD}`], '235 2.7.0'],
    ['in clear where TLS is needed', SUBMISSION, ['EHLO c', `AUTH PLAIN ${GOOD}`], '538 5.7.11'],
    ['where it is never taken', POLICY, ['EHLO c', `AUTH PLAIN ${GOOD}`], '502 5.5.1'],
    ['before EHLO', LOCAL, [`AUTH PLAIN ${GOOD}`], '503 5.5.1'],
    [
      'after STARTTLS, before the new EHLO',
      SUBMISSION,
      ['EHLO c', 'STARTTLS', 'TLS', `AUTH PLAIN ${GOOD}`],
      '503 5.5.1',
    ],
    ['STARTTLS instead of an answer', LOCAL, ['EHLO c', 'AUTH LOGIN', 'STARTTLS'], '501 5.5.2'],
    ['STARTTLS instead of the answer of PLAIN', LOCAL, ['EHLO c', 'AUTH PLAIN', 'STARTTLS'], '501 5.5.2'],
    [
      'mail right after a cancelled exchange',
      SUBMISSION,
      [...UNDER_TLS, 'AUTH PLAIN', '*', 'MAIL FROM:<>'],
      '530 5.7.0',
    ],
    ['a refused exchange leaves none behind', LOCAL, ['EHLO c', 'AUTH PLAIN', '!!', GOOD], '500 5.5.2'],
    ['twice', LOCAL, ['EHLO c', `AUTH PLAIN ${GOOD}`, `AUTH PLAIN ${GOOD}`], '503 5.5.1'],
    ['in a transaction', LOCAL, ['EHLO c', 'MAIL FROM:<>', `AUTH PLAIN ${GOOD}`], '503 5.5.1'],
    ['an unknown mechanism', LOCAL, ['EHLO c', 'AUTH CRAM-MD5'], '504 5.5.4'],
    ['no mechanism', LOCAL, ['EHLO c', 'AUTH'], '501 5.5.4'],
    ['too many words', LOCAL, ['EHLO c', `AUTH PLAIN ${GOOD} x`], '501 5.5.4'],
    ['a wrong password', LOCAL, ['EHLO c', `AUTH PLAIN ${b64('\0a\0no')}`], '535 5.7.8'],
    ['a password that cannot be checked', LOCAL, ['EHLO c', `AUTH PLAIN ${b64('\0a\0later')}`], '454 4.7.0'],
    ['acting for another', LOCAL, ['EHLO c', `AUTH PLAIN ${b64('b\0a\0pass')}`], '535 5.7.8'],
    ['cancelled', LOCAL, ['EHLO c', 'AUTH PLAIN', '*'], '501 5.7.0'],
    ['cancelled at the password', LOCAL, ['EHLO c', 'AUTH LOGIN', b64('a'), '*'], '501 5.7.0'],
    ['an empty response', LOCAL, ['EHLO c', 'AUTH PLAIN ='], '501 5.5.2'],
    ['no base64', LOCAL, ['EHLO c', 'AUTH PLAIN', 'AGEA!!!!'], '501 5.5.2'],
    ['base64 cut off', LOCAL, ['EHLO c', 'AUTH PLAIN', 'AGEAcGFzcw'], '501 5.5.2'],
    ['base64 with something behind', LOCAL, ['EHLO c', 'AUTH PLAIN', `${GOOD}AAAA`], '501 5.5.2'],
    ['bad UTF-8', LOCAL, ['EHLO c', 'AUTH PLAIN', b64('\0a\0\xff\xfe')], '501 5.5.2'],
    ['bad UTF-8 as name', LOCAL, ['EHLO c', 'AUTH LOGIN', b64('\xc3\x28')], '501 5.5.2'],
    ['a NUL too many', LOCAL, ['EHLO c', 'AUTH PLAIN', b64('\0a\0pa\0ss')], '501 5.5.2'],
    ['no name', LOCAL, ['EHLO c', 'AUTH PLAIN', b64('\0\0pass')], '501 5.5.2'],
    ['no password', LOCAL, ['EHLO c', 'AUTH LOGIN', b64('a'), ''], '501 5.5.2'],
    ['a line too long', LOCAL, ['EHLO c', 'AUTH PLAIN', 'x'.repeat(3000)], '500 5.5.6'],
    ['a bare CR in a line', LOCAL, ['EHLO c', 'AUTH PLAIN', 'AGEA\rcGFz'], '501 5.5.2'],
    ['a command instead of an answer', LOCAL, ['EHLO c', 'AUTH PLAIN', 'QUIT'], '501 5.5.2'],
    [
      'the longest name and password',
      LOCAL,
      ['EHLO c', `AUTH PLAIN ${b64(`\0${'n'.repeat(320)}\0${'p'.repeat(1024)}`)}`],
      '535 5.7.8',
    ],
  ];
  for (const [what, policy, lines, status] of table)
    it(`${what}: ${status}`, () => assert.equal(say(policy, ...lines).at(-1), status));

  it('closes after three refusals, and only then', () => {
    const wrong = `AUTH PLAIN ${b64('\0a\0no')}`;
    assert.equal(say(LOCAL, 'EHLO c', wrong, wrong, `AUTH PLAIN ${GOOD}`).at(-1), '235 2.7.0');
    const driver = new Driver(LOCAL);
    const output = driver.feed(`EHLO c\r\n${`${wrong}\r\n`.repeat(4)}`);
    assert.equal(output.match(/^535 /gm)?.length, 3);
    assert.match(output, /421 4\.7\.0 Too many failed sign-ins/);
    assert.ok(driver.closed);
  });

  it('closes after three refusals that are for now, too: who is banned begins anew each time', () => {
    const driver = new Driver(LOCAL);
    const output = driver.feed(`EHLO c\r\n${`AUTH PLAIN ${b64('\0a\0later')}\r\n`.repeat(4)}`);
    assert.equal(output.match(/^454 /gm)?.length, 3);
    assert.match(output, /421 4\.7\.0 Too many failed sign-ins/);
    assert.ok(driver.closed);
  });

  it('is not told the password in any log line of the tests, and forgets it', () => {
    const driver = new Driver(LOCAL);
    driver.feed(`EHLO c\r\nAUTH PLAIN ${GOOD}\r\n`);
    assert.deepEqual(driver.log.slice(1), ['auth a']);
  });
});

describe('submission', () => {
  it('takes no mail before sign-in, and takes it afterwards', () => {
    assert.equal(say(SUBMISSION, 'EHLO c', 'MAIL FROM:<>').at(-1), '530 5.7.0');
    assert.equal(say(SUBMISSION, ...UNDER_TLS, 'MAIL FROM:<>').at(-1), '530 5.7.0');
    assert.equal(say(SUBMISSION, ...UNDER_TLS, `AUTH PLAIN ${GOOD}`, 'MAIL FROM:<>').at(-1), '250 2.0.0');
  });
});

describe('STARTTLS', () => {
  const table: [string, ReceiverPolicy, string[], string][] = [
    ['is taken', LOCAL, ['EHLO c', 'STARTTLS'], '220 2.0.0'],
    ['after HELO too', LOCAL, ['HELO c', 'STARTTLS'], '220 2.0.0'],
    ['before EHLO', LOCAL, ['STARTTLS'], '503 5.5.1'],
    ['with an argument', LOCAL, ['EHLO c', 'STARTTLS now'], '501 5.5.4'],
    ['without a certificate', POLICY, ['EHLO c', 'STARTTLS'], '502 5.5.1'],
    ['under TLS', LOCAL, [...UNDER_TLS, 'STARTTLS'], '503 5.5.1'],
    ['forgets the EHLO', LOCAL, ['EHLO c', 'STARTTLS', 'TLS', 'MAIL FROM:<>'], '503 5.5.1'],
    [
      'forgets the sign-in',
      { ...LOCAL, signInRequired: true },
      ['EHLO c', `AUTH PLAIN ${GOOD}`, 'STARTTLS', 'TLS', 'EHLO c', 'MAIL FROM:<>'],
      '530 5.7.0',
    ],
    [
      'forgets the transaction',
      LOCAL,
      ['EHLO c', 'MAIL FROM:<>', 'RCPT TO:<a@b.test>', 'STARTTLS', 'TLS', 'EHLO c', 'DATA'],
      '503 5.5.1',
    ],
  ];
  for (const [what, policy, lines, status] of table)
    it(`${what}: ${status}`, () => assert.equal(say(policy, ...lines).at(-1), status));
});

describe('REQUIRETLS', () => {
  it('is offered and taken under TLS, where the host honours it, and nowhere else', () => {
    const mail = 'MAIL FROM:<> REQUIRETLS';
    assert.equal(say(LOCAL, 'EHLO c', mail).at(-1), '555 5.5.4');
    assert.equal(say(LOCAL, ...UNDER_TLS, mail).at(-1), '250 2.0.0');
    assert.equal(say({ ...LOCAL, requireTls: false }, ...UNDER_TLS, mail).at(-1), '555 5.5.4');
  });
});

describe('limits of a session', () => {
  it('recipients of the whole session, and messages of it', () => {
    const message = 'MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nx\r\n.\r\n';
    const few = new Driver({ ...POLICY, maxSessionRecipients: 2 });
    const output = few.feed(`EHLO c\r\n${message}${message}MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\n`);
    assert.match(output, /452 4\.5\.3 Not more than 2 recipients in one session; connect again\r\n$/);
    const two = new Driver({ ...POLICY, maxMessages: 2 });
    assert.match(
      two.feed(`EHLO c\r\n${message}${message}${message}`),
      /421 4\.7\.0 Enough messages[^\n]*\n$/,
    );
    assert.ok(two.closed);
    assert.equal(two.messages.length, 2);
  });
});
