import { connect } from 'node:net';
import type { Endpoint } from './cmail.ts';
import { PeerReader } from './smtp-peer-reader.ts';

export interface CollectOptions {
  readonly keep?: boolean;
  readonly beforeQuit?: (messages: readonly Buffer[]) => void;
}

/**
 * Collects a mailbox by POP3 (RFC 1939) and empties it, or only reads it with `keep`. Rejects when the server
 * refuses a command. `beforeQuit` sees the messages just before QUIT asks to delete them: from then until the
 * reply nobody knows whether they are.
 */
export async function collectMail(
  server: Endpoint,
  user: string,
  password: string,
  { keep = false, beforeQuit }: CollectOptions = {},
): Promise<Buffer[]> {
  const socket = connect({ ...server, noDelay: true });
  let trouble: Error | undefined;
  socket.on('error', (error) => {
    trouble = error;
  });
  const reader = new PeerReader(socket);
  const reply = async (): Promise<string> => {
    const line = await reader.line();
    if (line?.startsWith('+OK')) return line;
    throw trouble ?? new Error(`POP3 as ${user}: ${line ?? 'the server closed the connection'}`);
  };
  const command = (line: string): Promise<string> => {
    socket.write(`${line}\r\n`);
    return reply();
  };
  try {
    await reply();
    await command(`USER ${user}`);
    await command(`PASS ${password}`);
    const count = Number((await command('STAT')).split(' ')[1]);
    const messages: Buffer[] = [];
    for (let number = 1; number <= count; number++) {
      await command(`RETR ${number}`);
      const message = await reader.message();
      if (message === undefined) throw trouble ?? new Error('the connection ended within a message');
      messages.push(message);
      if (!keep) await command(`DELE ${number}`);
    }
    beforeQuit?.(messages);
    await command('QUIT');
    return messages;
  } finally {
    socket.destroy();
  }
}
