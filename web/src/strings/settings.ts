/** Words of the settings pages. */
const size = (text: string) => (text === '0' ? 'any size' : `up to ${text}`);

/** What a change of one of the eight will do, in one sentence; `value` is the text as entered. */
const willDo: Readonly<Record<string, (value: string) => string>> = {
  'smtp.bufferSize': (value) =>
    `Each open connection will hold at most ${value} KB of a message that is not yet handed on, from its next read.`,
  'smtp.socketTimeout': (value) =>
    `A server that does not take the connection within ${value} s will be passed over for the next address, from the next connection.`,
  'smtp.maxIncomingSize': (value) =>
    value === '0'
      ? 'Messages of any size will be accepted, and no size is announced.'
      : `Messages ${size(value)} will be accepted; larger ones are refused with 552 5.3.4.`,
  'smtp.useMxResolution': (value) =>
    value === 'on'
      ? 'CMail will find the servers of each destination by itself, from the next attempt of every queued message.'
      : 'All mail to other domains will leave through the SMTP host, from the next attempt of every queued message.',
  'smtp.fallbackToSmtpHost': (value) =>
    value === 'on'
      ? 'Mail whose destination cannot be found or reached will leave through the SMTP host in the same attempt; mail already waiting too.'
      : 'Mail whose destination cannot be found or reached will wait and be tried again on the schedule.',
  'smtp.outboundPort': (value) =>
    `Servers found by MX resolution will be called on port ${value}, from the next connection.`,
  'smtp.refuseUnknownUsers': (value) =>
    value === 'on'
      ? 'A recipient of a hosted domain who is not known here will be refused with 550 5.1.1, from the next RCPT.'
      : 'Mail for a user who is not known here will be accepted and go to the postmaster of the domain.',
  'smtp.assumeExternal': (value) =>
    value === 'on'
      ? 'An unknown user of a hosted domain will be taken to have a mailbox elsewhere, and the mail goes to the outgoing queue.'
      : 'An unknown user of a hosted domain will be treated as "Refuse message if user unknown" says.',
};

export const settings = {
  smtpTitle: 'SMTP Configuration',
  smtpMore:
    'The SMTP host, the schedule of retries, who may relay, and what stands behind the Advanced page.',
  advancedTitle: 'Advanced',
  advancedMore:
    'Eight settings that decide whom this server refuses and how mail leaves. A change is in force within a second, also for mail already waiting.',
  toAdvanced: 'Advanced settings',
  toHistory: 'History',
  toSmtp: 'Set the SMTP host',
  formLabel: 'Settings',
  fallsTo: (value: string) => `Default ${value}`,
  allowed: (range: string) => `allowed: ${range}`,
  empty: 'empty',
  kilobytes: 'KB',
  resetToDefault: 'Use the default',
  changed: 'Changed',
  was: (value: string) => `was ${value}`,
  effect: 'Takes effect',
  noEffect: 'Stored, but without effect',
  checking: 'Checking …',
  willDo,
  willDoOther: (effect: string) => `In force: ${effect.charAt(0).toLowerCase()}${effect.slice(1)}`,
  secretKeep: 'A password is stored. Leave this empty to keep it.',
  secretNone: 'No password is stored.',
  secretClear: 'Remove the stored password',
  secretCleared: 'The stored password will be removed.',
  listHelp: 'Separate entries by commas.',
  unsaved: (count: number) => (count === 1 ? '1 unsaved change' : `${count} unsaved changes`),
  nothingChanged: 'Everything is saved.',
  withErrors: 'Nothing is saved until this is valid:',
  saved: (count: number) => (count === 1 ? 'Saved: 1 setting changed.' : `Saved: ${count} settings changed.`),
  savedUndone: 'The change was taken back.',
  save: 'Save changes',
  groups: {
    advanced: 'Advanced',
    host: 'SMTP host',
    schedule: 'Queue and schedule',
    relay: 'Who may relay',
    routing: 'Finding the way out',
    incoming: 'What comes in',
    timeouts: 'Time limits of each phase',
    other: 'Further settings',
  },
  groupsMore: {
    host: 'The upstream server (smarthost) that mail leaves through when MX resolution is off, or fails with fallback on.',
    schedule: 'How long and how often a message is tried, and when its sender is told.',
    relay:
      'Clients on these networks may send to any domain without signing in. Everyone else must sign in or write to a hosted domain.',
    routing:
      'What counts as a failure of MX resolution, and which names and addresses are this server itself.',
    incoming: 'What is refused or answered on the way in.',
    timeouts: 'RFC 5321 §4.5.3.2 gives the defaults; they count to the complete reply or block.',
  },
  showTimeouts: 'Show the time limits',
  hideTimeouts: 'Hide the time limits',
  hostFields: {
    name: 'SMTP host',
    port: 'Port',
    tls: 'TLS',
    username: 'User name',
    password: 'Password',
  },
  test: {
    button: 'Test the SMTP host',
    running: 'Connecting to the SMTP host …',
    more: 'Connects with the values above, saved or not: EHLO, TLS and sign-in. No mail is sent.',
    good: 'The SMTP host is ready.',
    bad: 'The SMTP host is not ready.',
    needsName: 'Enter the name of the SMTP host first.',
  },
  conflict: {
    title: 'Somebody else changed settings meanwhile',
    text: 'Nothing of yours is saved yet, and nothing of theirs is lost. These were changed since you opened the page:',
    setting: 'Setting',
    theirs: 'Changed to',
    mine: 'Yours',
    by: 'By',
    notMine: 'not changed by you',
    keepTheirs: 'Take theirs, keep my other changes',
    keepMine: 'Save mine over theirs',
    back: 'Look again before saving',
  },
  attempt: {
    title: 'Try an address',
    more: 'What the server would do now, with the settings as you edited them. No mail is sent.',
    recipient: 'Recipient',
    recipientPlaceholder: 'someone@example.com',
    sender: 'Sender',
    senderPlaceholder: 'empty: a bounce',
    client: 'Who brings it',
    external: 'A stranger, from outside',
    local: 'A client at this address',
    user: 'A signed-in user',
    address: 'Client address',
    userName: 'User',
    empty: 'Enter a recipient to see who would get the mail, by which rule and which way.',
    waiting: 'The settings as edited are not valid yet, so there is no answer for them.',
    edited: 'As edited',
    current: 'In force now',
    same: 'Your changes make no difference to this address.',
    differs: 'Your changes make a difference to this address.',
    steps: 'Steps',
    hosts: 'Servers, in the order they are tried',
    preference: (value: number) => `preference ${value}`,
    implicit: 'by its own address',
    outlook: 'If it fails',
    reply: 'Answer to the client',
    looking: 'Asking the server …',
    step: { rule: 'Rule', dns: 'DNS', address: 'Address', fallback: 'Fallback', route: 'Route' } as Readonly<
      Record<string, string>
    >,
  },
  decision: {
    local: 'Delivered here',
    external: 'Goes to the outgoing queue',
    refused: 'Refused',
    notice: 'Accepted, then a failure notice',
    postmaster: 'Delivered to postmaster',
    deferred: 'Put off for now',
  } as Readonly<Record<string, string>>,
  kinds: {
    'no-answer': 'DNS gives no answer',
    nxdomain: 'The domain does not exist',
    'no-address': 'The domain has no mail server',
    unreachable: 'None of its servers takes the connection',
    self: 'Its MX leads to this server',
  } as Readonly<Record<string, string>>,
  history: {
    title: 'History of settings',
    more: 'Every change with its author. Reverting makes a new change, so nothing is ever lost.',
    when: 'When',
    who: 'By',
    what: 'Setting',
    from: 'Old',
    to: 'New',
    toDefault: 'default',
    revert: 'Revert',
    revertTitle: 'Revert this change?',
    revertText: (key: string, value: string) => `${key} goes back to ${value}.`,
    reverted: (key: string) => `${key} was put back.`,
    secretStays: 'Of a secret only that it was changed is kept, so it cannot be put back.',
    emptyTitle: 'No setting was changed yet',
    emptyText: 'All settings have their defaults. Each change will stand here, with a way back.',
    toSettings: 'To the settings',
    recent: 'Latest changes',
    all: 'All changes',
  },
} as const;
