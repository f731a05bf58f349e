/** Words of the pages about messages and the queue. */
const viaWords: Readonly<Record<string, string>> = {
  mx: 'by MX resolution',
  'smtp-host': 'by the SMTP host',
  forward: 'to the forward host of the domain',
  host: 'to the host that the rule for the destination names',
  mailbox: 'into the mailbox',
};

interface Received {
  readonly size: string;
  readonly sender: string;
  readonly local: boolean;
  readonly address: string;
  readonly helo: string;
  readonly protocol: string;
  readonly user: string;
  readonly secure: boolean;
  readonly wishes: string;
}

interface AttemptWords {
  readonly whom: string;
  readonly way: string;
  readonly fallback: string;
  /** Put in place of the message's own; mostly empty. */
  readonly sender: string;
  readonly took: string;
  readonly failure: string;
}

const story = {
  label: 'Timeline',
  titles: {
    received: 'Received',
    decided: 'Decided',
    attempt: 'Attempt',
    fallback: 'Fallback',
    deferred: 'Waits',
    delivered: 'Delivered',
    failed: 'Failed',
    notice: 'Notice',
    held: 'Held',
    released: 'Released',
    deleted: 'Deleted',
  } as Readonly<Record<string, string>>,
  theMessage: 'the message',
  anAdministrator: 'an administrator',
  clear: 'without TLS',
  noMx: 'none',
  mx: 'MX:',
  next: 'Next attempt',
  maybeTwice: 'The message may have arrived all the same.',
  recipients: (count: number) => `${count} recipients`,
  madeHere: (size: string) => `Made by CMail itself, ${size}.`,
  received: ({ size, sender, local, address, helo, protocol, user, secure, wishes }: Received) =>
    [
      `${size} from ${sender === '' ? 'the null sender <>' : sender},`,
      `brought by the ${local ? 'local client' : 'external source'} ${address}, which calls itself ${helo || '(nothing)'},`,
      `by ${protocol}, ${secure ? 'with TLS' : 'without TLS'}, ${user === '' ? 'not signed in' : `signed in as ${user}`}${wishes === '' ? '' : `; ${wishes}`}.`,
    ].join(' '),
  receivedFrom: (sender: string, size: string) =>
    `${size} from ${sender === '' ? 'the null sender <>' : sender}.`,
  decided: (whom: string, from: string, destination: string, because: string, wishes: string) =>
    `${whom}${from === '' ? '' : ` (for ${from})`} ${destination === '' ? 'stays here' : `waits to be sent to ${destination}`}: ${because}${wishes === '' ? '' : `; ${wishes}`}.`,
  decidedAgain: (whom: string, into: string, because: string) =>
    `${whom} was decided again and now goes to ${into}: ${because}.`,
  attempt: ({ whom, way, fallback, sender, took, failure }: AttemptWords) =>
    [
      `For ${whom} ${way}${fallback === '' ? '' : `, because MX failed (${fallback})`}${sender === '' ? '' : `, with the sender ${sender}`}${took === '' ? '' : `, took ${took}`}.`,
      failure === '' ? '' : `Came to ${failure}.`,
    ]
      .filter(Boolean)
      .join(' '),
  fallback: (host: string, why: string) =>
    `Went over to the SMTP host${host === '' ? '' : ` ${host}`}${why === '' ? '' : `: ${why}`}.`,
  deferred: (whom: string, reason: string) => `${whom} waits: ${reason}.`,
  delivered: (whom: string, where: string, tls: string, reply: string) =>
    `${whom} was handed to ${where}, ${tls}: ${reply}`,
  deliveredHere: (whom: string) => `${whom} has it in the mailbox.`,
  failed: (whom: string, status: string, reason: string, wishes: string) =>
    `${whom} failed for good, ${status}: ${reason}${wishes === '' ? '' : `; nobody is told: ${wishes}`}.`,
  notice: (kind: string, whom: string, to: string) =>
    `A ${kind} notice about ${whom} went${to === '' ? ' out' : ` to ${to}`}.`,
  toNotice: (id: string) => `Story of the notice, ${id}`,
  byWhom: (whom: string, what: string, by: string, reason: string) =>
    `${whom} was ${what} by ${by}${reason === '' ? '' : `: ${reason}`}.`,
};

export const mail = {
  select: 'Select',
  selectAll: 'Select all on this page',
  selected: (count: number) => `${count} selected`,
  nullSender: '<> (a notice)',
  noSubject: '(no subject)',
  story,
  way: (via: string, where: string, fallback: string | null) =>
    [
      `${viaWords[via] ?? via}${where === '' ? '' : `: ${where}`}`,
      fallback === null ? '' : `(fallback, because of ${fallback})`,
    ]
      .filter(Boolean)
      .join(' '),
  wayFailure: (kind: string, action: string) =>
    `no way out now (${kind}); ${action === 'retry' ? 'it waits and is tried again' : 'a failure notice goes out'}`,
  via: viaWords,
  states: {
    queued: 'Waiting',
    waiting: 'Waiting',
    sending: 'Being sent',
    held: 'Held',
    delivered: 'Delivered',
    failed: 'Failed',
    deleted: 'Deleted',
    expanded: 'Replaced',
  } as Readonly<Record<string, string>>,
  messages: {
    title: 'Messages',
    more: 'Every message this server took, newest first, with its story.',
    sender: 'Sender',
    recipient: 'Recipient',
    addressHelp: 'address or domain',
    subject: 'Subject words',
    id: 'ID',
    state: 'State',
    anyState: 'Any',
    since: 'From',
    until: 'To',
    search: 'Search',
    received: 'Received',
    size: 'Size',
    message: 'Message',
    emptyTitle: 'No message found',
    emptyText:
      'Nothing that is kept fits this search. Shorten an address to its beginning or its domain, or take a condition away.',
    noneTitle: 'No message yet',
    noneText: 'As soon as this server takes a message it stands here with its story.',
    tryAddress: 'Try an address',
    clear: 'Clear the search',
    showNewer: (count: number) => `Show ${count} new`,
    searchedTo: 'Looked back to',
    results: (count: number, more: boolean) => `${count}${more ? '+' : ''} found`,
    storyTitle: 'Story',
    headers: 'Headers',
    recipients: 'Recipients',
    about: 'About',
    source: 'Download the source',
    sourceNote: 'Downloads are recorded in the audit.',
    sourceGone: 'The content is no longer kept.',
    from: 'From',
    noticeFor: 'Notice about',
    noHeaders: 'No headers are kept for this message.',
    noStory: 'There is no event of this message.',
    original: (address: string) => `for ${address}`,
    moreRecipients: (count: number) => `and ${count} more`,
  },
  queue: {
    title: 'Queue',
    more: 'What is waiting to leave, by where it goes. Mail that fails is tried again by itself; you need to act only when you know more than the server.',
    destination: 'Destination',
    waiting: 'Waiting',
    held: 'Held',
    sending: 'Sending',
    oldest: 'Oldest',
    lastReply: 'Last reply',
    nextAttempt: 'Next attempt',
    backedOff: 'Backed off until',
    tryNow: 'Try now',
    tryNowNamed: (destination: string) => `Try now: ${destination}`,
    triedNow: (destination: string) => `One message finds out now whether ${destination} takes mail again.`,
    notBackedOff: (destination: string) => `${destination} was not backed off any more.`,
    emptyTitle: 'Nothing is waiting',
    emptyText: 'All mail has left. What cannot leave at once waits here, with the reason in one sentence.',
    emptyHere: 'Nothing is waiting for this destination any more.',
    back: 'All destinations',
    retry: 'Send now',
    hold: 'Hold',
    release: 'Release',
    remove: 'Delete',
    why: 'Why it waits',
    from: 'From',
    to: 'To',
    heldByRule: (rule: string) => `Held by the rule for ${rule}`,
    holdLater: 'Also hold what arrives later, until it is released',
    all: 'Everything',
    actOnAll: 'Act on everything',
    holdAll: 'Everything is held: mail that arrives waits as well, until it is released.',
    counting: 'Counting …',
    counted: (messages: number, recipients: number) =>
      `${messages} ${messages === 1 ? 'message' : 'messages'} to ${recipients} ${recipients === 1 ? 'recipient' : 'recipients'}`,
    confirm: {
      retry: 'These are tried at once, whatever the schedule says.',
      hold: 'These stay where they are, neither tried nor given up, until they are released.',
      holdAll: 'These stay where they are, and what arrives later too, until everything is released.',
      release: 'These are tried again at once and on the schedule.',
      releaseDestination:
        'These are tried again at once and on the schedule, and what arrives later is held no more.',
      delete: 'These are gone for good and nobody is told. It cannot be undone.',
      deleteNotice: 'These are gone for good and their senders get a failure notice. It cannot be undone.',
    },
    withNotice: 'Tell the senders by a failure notice',
    none: 'Nothing fits any more.',
    done: {
      retry: (count: number) => `${count} tried again.`,
      hold: (count: number) => `${count} held.`,
      release: (count: number) => `${count} released.`,
      delete: (count: number) => `${count} deleted.`,
    },
    titleOf: {
      retry: 'Send now',
      hold: 'Hold',
      release: 'Release',
      delete: 'Delete',
    },
    selection: (count: number) => `${count} selected`,
    inFlight: 'What is being sent this moment is left alone.',
  },
} as const;
