import { ActionIcon, Drawer, Menu, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { type ReactNode, useEffect, useState } from 'react';
import { type Session, useSession, useSignOut } from '../api/session.ts';
import { Icon } from '../parts/Icon.tsx';
import { t } from '../strings.ts';
import { Link } from './Link.tsx';
import { Palette } from './Palette.tsx';
import { type PageEntry, pagesOf } from './pages.ts';
import { navigate, usePlace } from './router.ts';

/** The frame: bar, menu, content. On a phone the menu is a drawer. */
interface ShellProps {
  /** Administrators can look for pages and settings; the owner of an account has a small menu only. */
  readonly kind: Session['kind'];
  readonly children: ReactNode;
}

export function Shell({ kind, children }: ShellProps) {
  const [menu, setMenu] = useState(false);
  const [finding, setFinding] = useState(false);
  const { path } = usePlace();
  const own = kind === 'account';
  const pages = pagesOf(kind);
  useHotkeys([['mod+K', () => setFinding(!own)]], []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page closes the drawer
  useEffect(() => setMenu(false), [path]);
  return (
    <>
      <a className="skip" href="#main">
        {t.skip}
      </a>
      <div className="shell">
        <Bar own={own} onMenu={() => setMenu(true)} onFind={() => setFinding(true)} />
        <nav className="shell-nav" aria-label={t.nav.label}>
          <Nav pages={pages} path={path} />
        </nav>
        <main className="shell-main" id="main" tabIndex={-1}>
          {children}
        </main>
      </div>
      <Drawer opened={menu} onClose={() => setMenu(false)} title={t.product} size={280} padding="md">
        <nav className="drawer-nav" aria-label={t.nav.label}>
          <Nav pages={pages} path={path} />
        </nav>
      </Drawer>
      {!own && <Palette opened={finding} onClose={() => setFinding(false)} />}
    </>
  );
}

interface BarProps {
  readonly own: boolean;
  readonly onMenu: () => void;
  readonly onFind: () => void;
}

function Bar({ own, onMenu, onFind }: BarProps) {
  const session = useSession();
  return (
    <header className="shell-bar">
      <ActionIcon
        className="shell-burger"
        variant="subtle"
        color="gray"
        size="lg"
        aria-label={t.nav.open}
        onClick={onMenu}
      >
        <Icon name="menu" />
      </ActionIcon>
      <Link href="/" className="shell-brand">
        <img src="/icon.svg" alt="" />
        {t.product}
      </Link>
      <span className="shell-host">{session?.hostname}</span>
      <span className="shell-space" />
      {!own && (
        <button type="button" className="shell-find" onClick={onFind}>
          <Icon name="search" size={16} />
          <span>{t.nav.find}</span>
          <kbd>Ctrl K</kbd>
        </button>
      )}
      <SchemeButton />
      <UserMenu own={own} name={session?.name ?? ''} />
    </header>
  );
}

export function SchemeButton() {
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme('light', { getInitialValueInEffect: false }) === 'dark';
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      size="lg"
      aria-label={dark ? t.scheme.toLight : t.scheme.toDark}
      title={dark ? t.scheme.toLight : t.scheme.toDark}
      onClick={() => setColorScheme(dark ? 'light' : 'dark')}
    >
      <Icon name={dark ? 'sun' : 'moon'} />
    </ActionIcon>
  );
}

function UserMenu({ own, name }: { readonly own: boolean; readonly name: string }) {
  const signOut = useSignOut();
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t.user.menu} title={name}>
          <Icon name="user" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{name}</Menu.Label>
        {!own && <Menu.Item onClick={() => void navigate('/access')}>{t.nav.sessions}</Menu.Item>}
        <Menu.Item onClick={() => void navigate(own ? '/password' : '/access/administrators')}>
          {t.user.password}
        </Menu.Item>
        <Menu.Item onClick={() => void navigate(own ? '/password' : '/access/second-factor')}>
          {t.user.secondFactor}
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item onClick={() => void signOut(false)}>{t.user.signOut}</Menu.Item>
        <Menu.Item onClick={() => void signOut(true)}>{t.user.signOutAll}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

interface NavProps {
  readonly pages: readonly PageEntry[];
  readonly path: string;
}

function Nav({ pages, path }: NavProps) {
  const listed = pages.filter((page) => page.title !== undefined && !page.unlisted);
  const groups = [...new Set(listed.map(({ group }) => group))];
  return groups.map((group) => (
    <div key={group ?? ''}>
      {group !== undefined && <div className="nav-group">{group}</div>}
      <ul className="nav-list">
        {listed
          .filter((page) => page.group === group)
          .map((page) => (
            <li key={page.pattern}>
              <NavLink page={page} pages={pages} path={path} />
            </li>
          ))}
      </ul>
    </div>
  ));
}

function NavLink({ page, pages, path }: NavProps & { readonly page: PageEntry }) {
  return (
    <Link
      href={page.pattern}
      className={page.child ? 'nav-link is-child' : 'nav-link'}
      aria-current={isWithin(pages, page.pattern, path) ? 'page' : undefined}
    >
      {page.icon !== undefined && <Icon name={page.icon} />}
      {page.title}
    </Link>
  );
}

/** The longest menu entry the path is in is the current one. */
function isWithin(pages: readonly PageEntry[], pattern: string, path: string): boolean {
  if (pattern === path) return true;
  if (pattern === '/' || !path.startsWith(`${pattern}/`)) return false;
  return !pages.some(
    (other) =>
      !other.unlisted &&
      other.title !== undefined &&
      other.pattern.length > pattern.length &&
      path.startsWith(other.pattern),
  );
}
