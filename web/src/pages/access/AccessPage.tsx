import type { ReactNode } from 'react';
import { Page, Tabs } from '../../parts/Page.tsx';
import { t } from '../../strings.ts';

const words = t.access;
const TABS = [
  { text: words.sessions.title, href: '/access' },
  { text: words.tokens.title, href: '/access/tokens' },
  { text: words.administrators.title, href: '/access/administrators' },
  { text: words.factor.title, href: '/access/second-factor' },
  { text: words.bans.title, href: '/access/bans' },
  { text: words.audit.title, href: '/access/audit' },
];

interface AccessPageProps {
  readonly title: string;
  readonly more?: string;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

/** The pages about who may do what. */
export function AccessPage({ title, more = words.more, actions, children }: AccessPageProps) {
  return (
    <Page
      title={title}
      crumbs={[{ text: t.nav.server }, { text: words.title }]}
      more={more}
      actions={actions}
    >
      <Tabs label={words.tabs} tabs={TABS} />
      {children}
    </Page>
  );
}
