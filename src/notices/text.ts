/** Marks that reorder the text around them, and line ends of Unicode: a peer's words must not use them. */
const INVISIBLE = /[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+/g;

const WIDTH = 72;

/**
 * Text from outside (a peer's reply, an address) as one line of at most `limit` characters that can start no
 * new header field and hide nothing.
 */
export function oneLine(text: string, limit: number): string {
  // Cut first: what follows must not cost time for a reply of any length.
  const line = text
    .slice(0, limit * 4)
    .toWellFormed()
    .replace(INVISIBLE, '')
    .replace(CONTROL, ' ')
    .trim();
  const characters = [...line];
  if (characters.length <= limit) return line;
  return `${characters.slice(0, limit - 4).join('')} ...`;
}

/** The same in printable ASCII; other characters become `?`. */
export function asciiLine(text: string, limit: number): string {
  return oneLine(text, limit).replace(/[^\x20-\x7e]/gu, '?');
}

/** Breaks a paragraph into lines for people, each with `indent` in front; the first with `first` instead. */
export function wrap(paragraph: string, indent = '', first = indent): string {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of paragraph.split(' ')) {
    if (!empty && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = indent;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line);
  return lines.join('\r\n');
}

/** A header field folded where it has spaces (RFC 5322 §2.2.3); no word may be longer than 990 characters. */
export function foldField(name: string, value: string): string {
  const words = value.split(' ');
  let field = `${name}:`;
  let length = field.length;
  for (const [index, word] of words.entries()) {
    if (index > 0 && length + 1 + word.length > 76) {
      field += '\r\n';
      length = 0;
    }
    field += ` ${word}`;
    length += 1 + word.length;
  }
  return `${field}\r\n`;
}

/** RFC 5322 §3.3 date-time, in UTC. */
export function formatDate(timeMs: number): string {
  return new Date(timeMs).toUTCString().replace('GMT', '+0000');
}

/** A time for people, `zoneMinutes` east of UTC. */
export function formatTime(timeMs: number, zoneMinutes: number): string {
  const hours = String(Math.trunc(Math.abs(zoneMinutes) / 60));
  const minutes = Math.abs(zoneMinutes) % 60;
  const rest = minutes === 0 ? '' : `:${String(minutes).padStart(2, '0')}`;
  const zone = zoneMinutes === 0 ? 'UTC' : `(UTC${zoneMinutes < 0 ? '-' : '+'}${hours}${rest})`;
  return new Date(timeMs + zoneMinutes * 60_000).toUTCString().replace(/:\d\d GMT$/, ` ${zone}`);
}

/** The zone a message was written in, by its Date field (RFC 5322 §3.3), in minutes east of UTC; 0 when unknown. */
export function zoneOf(date: string | undefined): number {
  const [, sign = '+', hours = '0', minutes = '0'] =
    /([+-])(\d\d)([0-5]\d)\s*(?:\(|$)/.exec(date ?? '') ?? [];
  const total = Number(hours) * 60 + Number(minutes);
  return total > 14 * 60 ? 0 : total * (sign === '-' ? -1 : 1);
}

/** A time span for people, in the largest unit that fits it. */
export function formatDuration(spanMs: number): string {
  const minutes = Math.max(1, Math.round(spanMs / 60_000));
  const [count, unit] =
    minutes < 120
      ? [minutes, 'minute']
      : minutes < 48 * 60
        ? [Math.round(minutes / 60), 'hour']
        : [Math.round(minutes / (24 * 60)), 'day'];
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

/** What someone without a mail administrator's knowledge can do about a status code (RFC 3463). */
export function advice(status: string, hostname: string): string {
  const code = status.slice(2);
  if (/^1\.[1368]$/.test(code)) {
    return 'Compare the address letter by letter with the one you were given, correct it and send the message again. If it is right, ask the person in another way whether it still exists.';
  }
  if (code === '1.10') {
    return 'This domain takes no mail at all. Ask the person for another address.';
  }
  if (code === '1.2' || code === '4.4') {
    return 'Look at the part of the address after the @. If it is spelled wrong, correct it and send the message again. If it is right, tell the person in another way that their domain cannot be found.';
  }
  if (code === '2.1') return 'The mailbox is closed at present. Reach the person in another way.';
  if (code === '2.2') {
    return 'The mailbox is full. Tell the person in another way, and send the message again once there is room.';
  }
  if (/^(2\.3|3\.4)$/.test(code)) {
    return 'The message is too large. Send it again with smaller or fewer attachments, or with a link to the files.';
  }
  if (code.startsWith('7.')) {
    return `The other side refuses this message by its rules. Ask the person to have it allowed, or show this notice to postmaster@${hostname}.`;
  }
  if (/^6\.[37]$/.test(code)) {
    return 'The other server cannot take the letters used in this message or its address. Use plain letters (no accents), or another address of the person.';
  }
  if (/^4\.[127]$/.test(code) || code === '4.3') {
    return 'Their server could not be reached. Try again later, or reach the person in another way and tell them.';
  }
  return `Send the message again later. If this happens again, show this notice to postmaster@${hostname}.`;
}
