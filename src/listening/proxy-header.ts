/** The header of the PROXY protocol (versions 1 and 2), in which a proxy names the client it connects for. */
import { isIPv4, isIPv6, type Socket } from 'node:net';
import { failed, ok, type Result } from '../mail/failure.ts';

const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_FIXED_BYTES = 16;
/** Longest line of version 1, CRLF included. */
const V1_MAX_BYTES = 107;
/** Version 2 allows 64 KB of additions that nobody here reads; no proxy sends so many. */
const V2_MAX_BYTES = 2048;
const HEADER_WAIT_MS = 10_000;

/** The client, or null where the proxy speaks for itself (its health check). */
export interface ProxyHeader {
  readonly client: string | null;
  readonly sizeBytes: number;
}

/** Reads a header from the first bytes of a connection; null while more are needed, a failure says what is wrong. */
export function parseProxyHeader(bytes: Buffer): Result<ProxyHeader, string> | null {
  const known = Math.min(bytes.length, V2_SIGNATURE.length);
  if (bytes.subarray(0, known).equals(V2_SIGNATURE.subarray(0, known))) {
    return known < V2_SIGNATURE.length ? null : parseV2(bytes);
  }
  return parseV1(bytes);
}

function parseV1(bytes: Buffer): Result<ProxyHeader, string> | null {
  const text = bytes.toString('latin1', 0, V1_MAX_BYTES);
  if (!'PROXY '.startsWith(text.slice(0, 6))) return failed('no PROXY header');
  const end = text.indexOf('\r\n');
  if (end === -1) return bytes.length < V1_MAX_BYTES ? null : failed('the PROXY header is too long');
  const sizeBytes = end + 2;
  const [, family = '', source = '', target, sourcePort = '', targetPort = '', ...more] = text
    .slice(0, end)
    .split(' ');
  if (family === 'UNKNOWN') return ok({ client: null, sizeBytes });
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : () => false;
  const ports = [sourcePort, targetPort].every((port) => /^\d{1,5}$/.test(port) && Number(port) < 65_536);
  if (!isAddress(source) || !isAddress(target ?? '') || !ports || more.length > 0)
    return failed('the PROXY header cannot be read');
  return ok({ client: source, sizeBytes });
}

function parseV2(bytes: Buffer): Result<ProxyHeader, string> | null {
  if (bytes.length < V2_FIXED_BYTES) return null;
  const version = bytes[12]! >> 4;
  const command = bytes[12]! & 0x0f;
  const family = bytes[13]!;
  const length = bytes.readUInt16BE(14);
  const sizeBytes = V2_FIXED_BYTES + length;
  if (version !== 2 || command > 1) return failed('the PROXY header is of an unknown version');
  if (sizeBytes > V2_MAX_BYTES) return failed('the PROXY header is too long');
  if (bytes.length < sizeBytes) return null;
  if (command === 0) return ok({ client: null, sizeBytes });
  const at = V2_FIXED_BYTES;
  if (family === 0x11 && length >= 12) {
    return ok({ client: [...bytes.subarray(at, at + 4)].join('.'), sizeBytes });
  }
  if (family === 0x21 && length >= 36) {
    const groups = Array.from({ length: 8 }, (_, n) => bytes.readUInt16BE(at + 2 * n).toString(16));
    return ok({ client: groups.join(':'), sizeBytes });
  }
  return failed('the PROXY header names no TCP client');
}

/**
 * Takes the header off a connection that a proxy made. Resolves to the client's address (null when the proxy speaks for
 * itself), with the socket paused and what follows the header still in it. Never rejects.
 */
export function readProxyHeader(
  socket: Socket,
  limitMs = HEADER_WAIT_MS,
): Promise<Result<string | null, string>> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    const settle = (result: Result<string | null, string>): void => {
      clearTimeout(timer);
      socket.off('data', more).off('close', closed).off('end', closed);
      socket.pause();
      resolve(result);
    };
    const more = (piece: Buffer): void => {
      bytes = Buffer.concat([bytes, piece]);
      const header = parseProxyHeader(bytes);
      if (header === null) return;
      if (!header.ok) {
        settle(header);
        return;
      }
      settle(ok(header.value.client));
      const rest = bytes.subarray(header.value.sizeBytes);
      if (rest.length > 0) socket.unshift(rest);
    };
    const closed = (): void => settle(failed('the connection ended before its PROXY header'));
    const timer = setTimeout(() => settle(failed('no PROXY header came')), limitMs);
    socket.on('data', more).on('close', closed).on('end', closed);
  });
}
