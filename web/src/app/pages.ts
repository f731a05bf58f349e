/** Every page: its address, its place in the menu and the code that is loaded for it. */
import { type ComponentType, lazy } from 'react';
import type { Session } from '../api/session.ts';
import type { IconName } from '../parts/Icon.tsx';
import { t } from '../strings.ts';

export interface PageProps {
  readonly params: Readonly<Record<string, string>>;
}

export interface PageEntry {
  readonly pattern: string;
  /** As the menu and Ctrl+K name it; absent for pages that only links lead to. */
  readonly title?: string;
  readonly group?: string;
  readonly icon?: IconName;
  /** Below the entry before it. */
  readonly child?: boolean;
  /** Further words Ctrl+K finds it by. */
  readonly words?: string;
  /** In Ctrl+K but not in the menu. */
  readonly unlisted?: boolean;
  readonly component: ComponentType<PageProps>;
}

type Loader = () => Promise<{ readonly default: ComponentType<PageProps> }>;

function page(pattern: string, load: Loader, rest: Omit<PageEntry, 'pattern' | 'component'> = {}): PageEntry {
  return { pattern, component: lazy(load), ...rest };
}

const { nav } = t;

export const pages: readonly PageEntry[] = [
  page('/', () => import('../pages/dashboard/Dashboard.tsx'), {
    title: nav.dashboard,
    icon: 'dashboard',
    words: 'home start live alarms plot status nodes',
  }),
  page('/messages', () => import('../pages/messages/Messages.tsx'), {
    title: nav.messages,
    group: nav.mail,
    icon: 'messages',
    words: 'search find mail story timeline sender recipient subject',
  }),
  page('/messages/:id', () => import('../pages/messages/Message.tsx')),
  page('/queue', () => import('../pages/queue/Queue.tsx'), {
    title: nav.queue,
    group: nav.mail,
    icon: 'queue',
    words: 'waiting outgoing retry hold release delete destination deferred',
  }),
  page('/queue/destination', () => import('../pages/queue/Destination.tsx')),
  page('/domains', () => import('../pages/directory/Domains.tsx'), {
    title: nav.domains,
    group: nav.people,
    icon: 'globe',
    words: 'hosted forward catch-all add domain',
  }),
  page('/accounts', () => import('../pages/directory/Accounts.tsx'), {
    title: nav.accounts,
    group: nav.people,
    icon: 'people',
    words: 'users mailboxes password quota postmaster disable add account',
  }),
  page('/accounts/sign-ins', () => import('../pages/directory/SignIns.tsx')),
  page('/aliases', () => import('../pages/directory/Aliases.tsx'), {
    title: nav.aliases,
    group: nav.people,
    icon: 'arrow',
    words: 'lists forward addresses add alias',
  }),
  page('/import', () => import('../pages/directory/Import.tsx'), {
    title: nav.importing,
    unlisted: true,
    words: 'csv accounts aliases many at once',
  }),
  page('/configuration/smtp', () => import('../pages/settings/SmtpConfiguration.tsx'), {
    title: nav.smtp,
    group: nav.configuration,
    icon: 'config',
    words: 'smtp host smarthost relay networks schedule retry queue lifetime timeouts',
  }),
  page('/configuration/smtp/advanced', () => import('../pages/settings/Advanced.tsx'), {
    title: nav.advanced,
    group: nav.configuration,
    child: true,
    words: 'smtp configuration mx fallback unknown user buffer try an address',
  }),
  page('/configuration/smtp/history', () => import('../pages/settings/History.tsx'), {
    title: nav.history,
    unlisted: true,
    words: 'revert undo changes author',
  }),
  page('/check', () => import('../pages/access/Check.tsx'), {
    title: nav.check,
    group: nav.server,
    icon: 'check',
    words: 'dns mx ports disk resolver clock health diagnose',
  }),
  page('/access', () => import('../pages/access/Sessions.tsx'), {
    title: nav.access,
    group: nav.server,
    icon: 'access',
    words: 'sessions sign out everywhere',
  }),
  page('/access/tokens', () => import('../pages/access/Tokens.tsx'), {
    title: nav.tokens,
    unlisted: true,
    words: 'api key scope expiry',
  }),
  page('/access/administrators', () => import('../pages/access/Administrators.tsx'), {
    title: nav.administrators,
    unlisted: true,
    words: 'admin password',
  }),
  page('/access/second-factor', () => import('../pages/access/SecondFactor.tsx'), {
    title: nav.secondFactor,
    unlisted: true,
    words: 'totp authenticator app code recovery two-factor 2fa',
  }),
  page('/access/bans', () => import('../pages/access/Bans.tsx'), {
    title: nav.bans,
    unlisted: true,
    words: 'banned networks wrong passwords unban lift blocked',
  }),
  page('/access/audit', () => import('../pages/access/Audit.tsx'), {
    title: nav.audit,
    unlisted: true,
    words: 'log who did what',
  }),
];

/** The pages of an account's owner. */
export const ownPages: readonly PageEntry[] = [
  page('/', () => import('../pages/me/Messages.tsx'), { title: t.me.nav.messages, icon: 'messages' }),
  page('/messages/:id', () => import('../pages/me/OwnMessage.tsx')),
  page('/programs', () => import('../pages/me/Programs.tsx'), { title: t.me.nav.programs, icon: 'send' }),
  page('/password', () => import('../pages/me/Password.tsx'), { title: t.me.nav.password, icon: 'access' }),
  page('/forwarding', () => import('../pages/me/Forwarding.tsx'), {
    title: t.me.nav.forwarding,
    icon: 'arrow',
  }),
];

/** The pages of whoever is signed in. */
export function pagesOf(kind: Session['kind']): readonly PageEntry[] {
  return kind === 'account' ? ownPages : pages;
}
