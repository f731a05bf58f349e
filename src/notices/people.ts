/** The part of a notice for people: what happened, to whom, why, and what they can do. */
import type { NoticeContent } from './compose.ts';
import type { NoticeRecipient, RetryOutlook } from './contract.ts';
import { decodeWords, originalField, WHOLE_LIMIT_BYTES } from './original.ts';
import { advice, formatDuration, formatTime, oneLine, wrap, zoneOf } from './text.ts';

export const ADDRESS_LIMIT = 700;
/** Recipients named in this part; the one for programs has all. */
const PEOPLE_LIMIT = 50;
const TEXT_LIMIT = 600;

export function subject({ kind, audience, recipients }: NoticeContent): string {
  const first = oneLine(recipients[0]?.original ?? '', 200);
  const more = recipients.length - 1;
  const what = audience === 'null-sender' ? 'notice' : 'message';
  return `${stateWord(kind, recipients)}: ${what} to ${first}${more > 0 ? ` and ${more} more` : ''}`;
}

function stateWord(kind: NoticeContent['kind'], recipients: readonly NoticeRecipient[]): string {
  if (kind === 'failure') return 'Undelivered';
  if (kind === 'delay') return 'Delayed';
  const only = onlyAction(recipients);
  if (only === 'relayed') return 'Handed on';
  return only === 'expanded' ? 'Passed on to a list' : 'Delivered';
}

/** What became of all of them, null when it differs. */
function onlyAction(recipients: readonly NoticeRecipient[]): NoticeRecipient['action'] | null {
  const [first] = recipients;
  return recipients.every(({ action }) => action === first?.action) ? first?.action : null;
}

export function textForPeople(content: NoticeContent): string {
  const { hostname, recipients } = content;
  const outlook = commonOutlook(content);
  const paragraphs = [
    wrap(`This is the mail server ${hostname}.`),
    wrap(opening(content, outlook)),
    ...recipients.slice(0, PEOPLE_LIMIT).map((recipient) => aboutRecipient(content, recipient, outlook)),
  ];
  const more = recipients.length - PEOPLE_LIMIT;
  if (more > 0) paragraphs.push(wrap(`The same for ${more} more addresses, listed in the attached report.`));
  paragraphs.push(aboutMessage(content));
  const returned = aboutReturned(content);
  if (returned !== null) paragraphs.push(wrap(returned));
  return `${paragraphs.join('\r\n\r\n')}\r\n`;
}

function opening(content: NoticeContent, outlook: RetryOutlook | null): string {
  const several = content.recipients.length > 1;
  const to = several ? 'the addresses below' : 'the address below';
  if (content.audience === 'null-sender') {
    return `A message without a return address, most likely an automatic notice, could not be delivered to ${to}. Nobody else can be told of it, so you get this as postmaster. No further attempt will be made.`;
  }
  if (content.audience === 'sender-unreachable') {
    const sender = oneLine(content.sender, ADDRESS_LIMIT);
    return `A message from ${sender} could not be delivered to ${to}, and its sender cannot be told: mail to ${sender} is not deliverable from here. You get this notice as postmaster in their place. No further attempt will be made.`;
  }
  if (content.kind === 'failure') {
    return `Your message could not be delivered to ${to}. ${several ? 'They have' : 'That person has'} not received it, and no further attempt will be made.`;
  }
  if (content.kind === 'success') return successOpening(onlyAction(content.recipients), several);
  const rest = outlook === null ? '' : ` ${outlookText(outlook, senderZone(content))}`;
  return `Your message has not been delivered to ${to} yet. You need not do anything: this server goes on trying, and you will be told if it does not succeed.${rest}`;
}

function successOpening(action: ReturnType<typeof onlyAction>, several: boolean): string {
  const asked = 'You asked to be told of this; you need not do anything.';
  if (action === 'delivered') {
    const box = several ? 'the mailboxes of the addresses' : 'the mailbox of the address';
    return `Your message has arrived in ${box} below. This does not say that it has been read. ${asked}`;
  }
  if (action === 'relayed') {
    return `Your message has been handed on to the mail server of the ${several ? 'addresses' : 'address'} below, which took it. That server does not report back when a message arrives in a mailbox, so you will hear no more of it if all goes well. ${asked}`;
  }
  if (action === 'expanded') {
    return `Your message has been passed on to everybody on the ${several ? 'lists' : 'list'} below. You will not be told of each of them. ${asked}`;
  }
  return `This is what became of your message to the addresses below. ${asked}`;
}

/** Times are told as the sender's own clock shows them. */
function senderZone({ original }: NoticeContent): number {
  return zoneOf(originalField(original.header, 'Date'));
}

/** What is to come, when it is the same for all recipients. */
function commonOutlook({ recipients }: NoticeContent): RetryOutlook | null {
  const first = recipients[0]?.outlook;
  if (first === undefined) return null;
  const text = outlookText(first, 0);
  return recipients.every(({ outlook }) => outlook !== undefined && outlookText(outlook, 0) === text)
    ? first
    : null;
}

function outlookText({ nextAttemptAt, attempts, giveUpAt }: RetryOutlook, zone: number): string {
  const next = formatTime(nextAttemptAt, zone);
  if (attempts === 1) return `The server tries once more, at ${next}, and gives up if that fails.`;
  const many = attempts > 1_000 ? 'more than 1,000' : attempts.toLocaleString('en-GB');
  return `The next attempt is at ${next}. The server tries ${many} more times in all, the last time at ${formatTime(giveUpAt, zone)}, and gives up if that fails too.`;
}

/** In one sentence, without the other server's words, which stand apart. */
function happened({ action, explanation, diagnostic }: NoticeRecipient): string {
  if (action !== undefined) return SUCCESS_WORDS[action];
  const words = `: ${diagnostic ?? ''}`;
  if (diagnostic === null || diagnostic === '' || !explanation.endsWith(words)) return explanation;
  return `${explanation.slice(0, -words.length)}.`;
}

const SUCCESS_WORDS = {
  delivered: 'The message has been put into the mailbox.',
  relayed: 'The mail server of this address took the message.',
  expanded: 'This address is a list. The message has been passed on to everybody on it.',
} as const;

function aboutRecipient(
  content: NoticeContent,
  recipient: NoticeRecipient,
  common: RetryOutlook | null,
): string {
  const { hostname, kind, audience } = content;
  const name = oneLine(recipient.original, ADDRESS_LIMIT);
  const address = oneLine(recipient.address, ADDRESS_LIMIT);
  const lines = [`  ${name}`];
  if (address.toLowerCase() !== name.toLowerCase()) lines.push(labelled('Passed on to', address));
  lines.push(labelled('What happened', oneLine(happened(recipient), TEXT_LIMIT)));
  if (recipient.diagnostic !== null && recipient.diagnostic !== '') {
    const server = recipient.remoteMta === null ? 'The other server' : oneLine(recipient.remoteMta, 255);
    lines.push(labelled(`${server} answered`, oneLine(recipient.diagnostic, TEXT_LIMIT)));
  }
  if (recipient.outlook !== undefined && common === null) {
    lines.push(labelled('What comes next', outlookText(recipient.outlook, senderZone(content))));
  }
  if (kind === 'failure' && audience === 'sender') {
    lines.push(labelled('What to do', advice(recipient.status, hostname)));
  }
  return lines.join('\r\n');
}

function labelled(label: string, text: string): string {
  return wrap(`${label}: ${text}`, '      ', '    ');
}

function aboutMessage(content: NoticeContent): string {
  const title = originalField(content.original.header, 'Subject');
  const lines = ['The message:'];
  if (title !== undefined) lines.push(labelled('Subject', oneLine(decodeWords(title.slice(0, 2_000)), 300)));
  if (content.audience !== 'sender') {
    lines.push(labelled('From', content.sender === '' ? 'no return address' : oneLine(content.sender, 700)));
  }
  const since = content.kind === 'delay' ? `, ${formatDuration(content.now - content.arrivedAt)} ago` : '';
  lines.push(labelled('Received here', `${formatTime(content.arrivedAt, senderZone(content))}${since}`));
  lines.push(labelled('Number', content.queueId));
  return lines.join('\r\n');
}

/** Why the message is not attached although its sender asked for it. */
function aboutReturned({ original }: NoticeContent): string | null {
  switch (original.omitted) {
    case 'size':
      return `Your message is larger than ${WHOLE_LIMIT_BYTES / 1000} KB, so only its header is attached and not the whole of it.`;
    case 'form':
      return 'Your message is in a form that cannot be attached here, so only its header is attached.';
    case 'tls':
      return 'Your message may be sent over encrypted connections only, so only its header is attached.';
    case null:
      return null;
  }
}
