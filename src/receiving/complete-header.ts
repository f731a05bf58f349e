/** The fields a submitted message must have and a mail program may leave to its server (RFC 6409 §8). */
import { randomBytes } from 'node:crypto';
import { mailDate } from './trace.ts';

export interface CompletionInput {
  /** The message's header section, as far as it was looked at. */
  readonly header: string;
  readonly hostname: string;
  /** Whom From names when it is missing. */
  readonly from: string;
  readonly nowMs: number;
}

/** Date, Message-ID and From where they are missing, as lines to stand in front of the header; '' when none is. */
export function missingFields({ header, hostname, from, nowMs }: CompletionInput): string {
  const has = (name: string): boolean => new RegExp(`^${name}[ \\t]*:`, 'im').test(header);
  let lines = '';
  if (!has('date')) lines += `Date: ${mailDate(nowMs)}\r\n`;
  if (!has('message-id'))
    lines += `Message-ID: <${nowMs.toString(36)}.${randomBytes(9).toString('hex')}@${hostname}>\r\n`;
  if (!has('from')) lines += `From: <${from}>\r\n`;
  return lines;
}
