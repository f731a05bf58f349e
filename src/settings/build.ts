import type { Setting } from './definition.ts';
import { SMTP_HOSTS } from './smtp-host-table.ts';
import { table } from './table.ts';
import type { Settings, SmtpHost } from './values.ts';

/**
 * Makes the typed settings from stored texts; a missing key has its default. The texts are already checked
 * one by one: throws when one does not parse.
 */
export function buildSettings(values: ReadonlyMap<string, string>): Settings {
  const read = <T>(setting: Setting<T>): T => {
    const value = setting.type.parse(values.get(setting.key) ?? setting.default);
    if (!value.ok) throw new Error(`stored value of ${setting.key}: ${value.reason}`);
    return value.value;
  };
  const smtpHosts = buildSmtpHosts(read);
  return Object.freeze({
    bufferSizeBytes: read(table.bufferSize),
    socketTimeoutMs: read(table.socketTimeout),
    maxIncomingSizeBytes: read(table.maxIncomingSize),
    useMxResolution: read(table.useMxResolution),
    fallbackToSmtpHost: read(table.fallbackToSmtpHost),
    outboundPort: read(table.outboundPort),
    refuseUnknownUsers: read(table.refuseUnknownUsers),
    assumeExternal: read(table.assumeExternal),
    smtpHost: smtpHosts[0] ?? null,
    furtherSmtpHosts: Object.freeze(smtpHosts.slice(1)),
    senderHosts: read(table.senderHosts),
    relayNetworks: read(table.relayNetworks),
    retryScheduleMs: read(table.retrySchedule),
    queueLifetimeMs: read(table.queueLifetime),
    delayNoticeMs: read(table.delayNotice),
    hopLimit: read(table.hopLimit),
    maxSessions: read(table.maxSessions),
    destinationConcurrency: read(table.destinationConcurrency),
    messagesPerConnection: read(table.messagesPerConnection),
    recipientsPerTransaction: read(table.recipientsPerTransaction),
    fallbackOn: read(table.fallbackOn),
    destinationRules: read(table.destinationRules),
    unknownUserNotice: read(table.unknownUserNotice),
    unknownUserNoticeRate: read(table.unknownUserNoticeRate),
    allowPrivateAddresses: read(table.allowPrivateAddresses),
    ownNames: read(table.ownNames),
    ownAddresses: read(table.ownAddresses),
    sourceAddress4: read(table.sourceAddress4),
    sourceAddress6: read(table.sourceAddress6),
    bareNewline: read(table.bareNewline),
    minDataRate: read(table.minDataRate),
    submission: Object.freeze({
      messagesPerHour: read(table.submissionPerHour),
      messagesPerDay: read(table.submissionPerDay),
      recipientsPerMessage: read(table.submissionRecipients),
      anySender: read(table.submissionAnySender),
    }),
    ownersPage: read(table.ownersPage),
    externalForwards: read(table.externalForwards),
    rewriteForwardedSender: read(table.rewriteForwardedSender),
    tlsReports: Object.freeze({ on: read(table.tlsReports), contact: read(table.tlsReportsContact) }),
    strangers: Object.freeze({
      sessions: Object.freeze({
        total: read(table.sessionsTotal),
        perAddress: read(table.sessionsPerAddress),
        perNetwork: read(table.sessionsPerNetwork),
      }),
      pop3Sessions: Object.freeze({ total: read(table.popTotal), perAddress: read(table.popPerAddress) }),
      greetDelayMs: read(table.greetDelay),
      errorsInAnHour: Object.freeze({
        perAddress: read(table.errorsPerAddress),
        perNetwork: read(table.errorsPerNetwork),
      }),
      errors: read(table.maxErrors),
      idleCommands: read(table.maxIdleCommands),
      recipientsPerMessage: read(table.maxRecipients),
      recipientsPerSession: read(table.maxSessionRecipients),
      messagesPerSession: read(table.maxMessages),
      signInBanMs: read(table.signInBan),
    }),
    timeouts: Object.freeze({
      greetingMs: read(table.timeoutGreeting),
      ehloMs: read(table.timeoutEhlo),
      tlsMs: read(table.timeoutTls),
      authMs: read(table.timeoutAuth),
      mailMs: read(table.timeoutMail),
      rcptMs: read(table.timeoutRcpt),
      dataMs: read(table.timeoutData),
      dataBlockMs: read(table.timeoutDataBlock),
      dataEndMs: read(table.timeoutDataEnd),
      quitMs: read(table.timeoutQuit),
      commandMs: read(table.timeoutCommand),
    }),
    historyKeepMs: read(table.historyKeep),
  });
}

function buildSmtpHosts(read: <T>(setting: Setting<T>) => T): readonly SmtpHost[] {
  const hosts = SMTP_HOSTS.flatMap(({ which, name, port, tls, username, password }): SmtpHost[] => {
    const entered = read(name);
    if (entered === '') return [];
    const host = { which, name: entered, port: read(port), tls: read(tls) };
    return [Object.freeze({ ...host, username: read(username), password: read(password) })];
  });
  // The others stand in for the first: without it there is none.
  return hosts[0]?.which === 1 ? hosts : [];
}
