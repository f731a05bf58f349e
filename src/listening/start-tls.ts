import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { describeError, failed, ok, type Result } from '../mail/failure.ts';
import type { TlsProvider } from './tls-provider.ts';

/** What was agreed on, such as `TLSv1.3` and `TLS_AES_256_GCM_SHA384`. */
export interface TlsFacts {
  readonly version: string;
  readonly cipher: string;
}

/** A client that does not get through the handshake in this time is gone, whatever the settings allow elsewhere. */
export const HANDSHAKE_LIMIT_MS = 30_000;

/**
 * Does the server's half of the handshake on a connected socket, from which nobody reads any more. The failure says
 * why there is no TLS; both sockets are then destroyed. Never rejects.
 */
export function startTls(
  socket: Socket,
  provider: TlsProvider,
  limitMs: number,
): Promise<Result<{ readonly socket: TLSSocket; readonly tls: TlsFacts }, string>> {
  return new Promise((resolve) => {
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext: provider.contextFor(null),
      SNICallback: (name, done) => done(null, provider.contextFor(name)),
      // As the listeners have it: a paused socket stops after one read.
      highWaterMark: 1,
    } as ConstructorParameters<typeof TLSSocket>[1]);
    const settle = (problem: string | null): void => {
      clearTimeout(timer);
      secured.off('secure', finished).off('close', closed);
      if (problem === null) {
        secured.off('error', broken);
        resolve(ok({ socket: secured, tls: factsOf(secured) }));
      } else {
        secured.destroy();
        socket.destroy();
        resolve(failed(problem));
      }
    };
    const finished = (): void => settle(null);
    // Stays when it failed: what is destroyed may still complain.
    const broken = (error: Error): void => settle(describeError(error));
    const closed = (): void => settle('the client closed the connection');
    const timer = setTimeout(() => settle('the client did not finish the handshake'), limitMs);
    secured.on('error', broken).on('secure', finished).on('close', closed);
    socket.on('error', () => secured.destroy());
    socket.once('close', closed);
  });
}

function factsOf(socket: TLSSocket): TlsFacts {
  return { version: socket.getProtocol() ?? 'TLS', cipher: socket.getCipher().standardName };
}
