/** The part of a notice that brings the message back, or its header (RFC 3461 §4.3, RFC 6533 §4). */
import { isUtf8 } from 'node:buffer';
import type MimeNode from 'nodemailer/lib/mime-node';
import type { Original } from './original.ts';

/** `utf8`: the notice may hold headers in UTF-8. */
export function appendOriginal(root: MimeNode, { header, whole }: Original, utf8: boolean): void {
  if (whole !== null) {
    const headerIsAscii = isAscii(header);
    const encoding = isAscii(whole) ? '7bit' : '8bit';
    appendRaw(root, headerIsAscii ? 'message/rfc822' : 'message/global', encoding, whole);
    return;
  }
  if (header === '') return;
  // Written as it is where that can be, since readers of these parts rarely decode quoted-printable.
  if (isAscii(header) && !hasLongLine(header)) {
    appendRaw(root, 'text/rfc822-headers', '7bit', header);
    return;
  }
  const inUtf8 = isUtf8(Buffer.from(header, 'latin1'));
  if (utf8 && inUtf8 && !hasLongLine(header)) {
    appendRaw(root, 'message/global-headers', '8bit', header);
    return;
  }
  // Downgraded: the same part in 7-bit (RFC 6533 §4); what is in no known letters is just text.
  root
    .createChild(inUtf8 ? 'message/global-headers; charset=utf-8' : 'text/rfc822-headers', {
      textEncoding: 'Q',
    })
    .setHeader('Content-Transfer-Encoding', 'quoted-printable')
    .setContent(Buffer.from(header, 'latin1'));
}

function appendRaw(root: MimeNode, type: string, encoding: '7bit' | '8bit', content: string): void {
  const head = `Content-Type: ${type}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n`;
  root.createChild().setRaw(Buffer.from(`${head}${content}`, 'latin1'));
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e\t\r\n]*$/.test(text);
}

/** Longer than a line of mail may be (RFC 5322 §2.1.1). */
export function hasLongLine(text: string): boolean {
  return /[^\r\n]{999}/.test(text);
}
