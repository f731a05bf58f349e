/** An authenticator app, and whoever guesses passwords. */
import { connect } from 'node:net';
import { Secret, TOTP } from 'otpauth';
import { FAILURES_UNTIL_BAN, TRIES_AT_ONCE } from '../../src/directory/sign-in-throttle.ts';
import type { Cmail } from './cmail.ts';

const STEP_MS = 30_000;

/**
 * Codes of the step that runs now and of those after it. The server takes one step either side, so that of a moment's
 * codes the first two are good, in this order, however slow the machine is meanwhile (within half a minute).
 */
export function codesOf(secret: string, count = 2): string[] {
  const totp = new TOTP({ secret: Secret.fromBase32(secret) });
  const now = Date.now();
  return Array.from({ length: count }, (_, n) => totp.generate({ timestamp: now + n * STEP_MS }));
}

/** Six digits that are none of the codes around now. */
export function wrongCode(secret: string): string {
  const totp = new TOTP({ secret: Secret.fromBase32(secret) });
  const near = [-3, -2, -1, 0, 1, 2, 3].map((n) => totp.generate({ timestamp: Date.now() + n * STEP_MS }));
  return ['000000', '111111', '222222', '333333', '444444', '555555', '666666', '777777'].find(
    (code) => !near.includes(code),
  ) as string;
}

/** Wrong passwords over POP3, as many at once as are let in, until this machine's network is banned. */
export async function getBanned(cmail: Cmail): Promise<void> {
  for (let n = 0; n < FAILURES_UNTIL_BAN; n += TRIES_AT_ONCE) {
    await Promise.all(Array.from({ length: TRIES_AT_ONCE }, () => tryPassword(cmail)));
  }
}

function tryPassword(cmail: Cmail): Promise<void> {
  const { host, port } = cmail.listeners.pop3 ?? { host: '', port: 0 };
  return new Promise((done, fail) => {
    const socket = connect({ host, port });
    socket.setEncoding('utf8');
    const lines = ['USER nobody@example.test\r\n', 'PASS wrong\r\n'];
    socket.on('data', () => {
      const line = lines.shift();
      if (line !== undefined) socket.write(line);
      else socket.destroy();
    });
    socket.on('error', fail);
    socket.on('close', () => done());
  });
}
