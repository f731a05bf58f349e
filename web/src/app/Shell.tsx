import { ActionIcon, Drawer, Menu, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { type ReactNode, useEffect, useState } from 'react';
import { useSession, useSignOut } from '../api/session.ts';
import { Icon } from '../parts/Icon.tsx';
import { t } from '../strings.ts';
import { Link } from './Link.tsx';
import { Palette } from './Palette.tsx';
import { type PageEntry, pages } from './pages.ts';
import { navigate, usePlace } from './router.ts';

/** The frame: bar, menu, content. On a phone the menu is a drawer. */
export function Shell({ children }: { readonly children: ReactNode }) {
  const [menu, setMenu] = useState(false);
  const [finding, setFinding] = useState(false);
  const { path } = usePlace();
  useHotkeys([['mod+K', () => setFinding(true)]], []);
  // Who reads with a screen reader is told of the new page by its heading.
  const [first, setFirst] = useState(path);
  useEffect(() => {
    if (path === first) return undefined;
    setFirst(path);
    setMenu(false);
    const timer = setTimeout(() => document.getElementById('page-title')?.focus({ preventScroll: true }), 60);
    return () => clearTimeout(timer);
  }, [path, first]);
  return (
    <>
      <a className="skip" href="#main">
        {t.skip}
      </a>
      <div className="shell">
        <Bar onMenu={() => setMenu(true)} onFind={() => setFinding(true)} />
        <nav className="shell-nav" aria-label={t.nav.label}>
          <Nav path={path} />
        </nav>
        <main className="shell-main" id="main" tabIndex={-1}>
          {children}
        </main>
      </div>
      <Drawer opened={menu} onClose={() => setMenu(false)} title={t.product} size={280} padding="md">
        <nav className="drawer-nav" aria-label={t.nav.label}>
          <Nav path={path} />
        </nav>
      </Drawer>
      <Palette opened={finding} onClose={() => setFinding(false)} />
    </>
  );
}

function Bar({ onMenu, onFind }: { readonly onMenu: () => void; readonly onFind: () => void }) {
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
      <button type="button" className="shell-find" onClick={onFind}>
        <Icon name="search" size={16} />
        <span>{t.nav.find}</span>
        <kbd>Ctrl K</kbd>
      </button>
      <SchemeButton />
      <UserMenu name={session?.name ?? ''} />
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

function UserMenu({ name }: { readonly name: string }) {
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
        <Menu.Item onClick={() => void navigate('/access')}>{t.nav.sessions}</Menu.Item>
        <Menu.Item onClick={() => void navigate('/access/administrators')}>{t.user.password}</Menu.Item>
        <Menu.Item onClick={() => void navigate('/access/second-factor')}>{t.user.secondFactor}</Menu.Item>
        <Menu.Divider />
        <Menu.Item onClick={() => void signOut(false)}>{t.user.signOut}</Menu.Item>
        <Menu.Item onClick={() => void signOut(true)}>{t.user.signOutAll}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function Nav({ path }: { readonly path: string }) {
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
              <NavLink page={page} path={path} />
            </li>
          ))}
      </ul>
    </div>
  ));
}

function NavLink({ page, path }: { readonly page: PageEntry; readonly path: string }) {
  return (
    <Link
      href={page.pattern}
      className={page.child ? 'nav-link is-child' : 'nav-link'}
      aria-current={isWithin(page.pattern, path) ? 'page' : undefined}
    >
      {page.icon !== undefined && <Icon name={page.icon} />}
      {page.title}
    </Link>
  );
}

/** The longest menu entry the path is in is the current one. */
function isWithin(pattern: string, path: string): boolean {
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
