import { Loader } from '@mantine/core';
import { type ReactNode, useEffect, useLayoutEffect, useRef } from 'react';
import { Link } from '../app/Link.tsx';
import { usePlace } from '../app/router.ts';
import { t } from '../strings.ts';
import { Icon, type IconName } from './Icon.tsx';
import { ProblemNote } from './Note.tsx';

export interface Crumb {
  readonly text: string;
  readonly href?: string;
}

interface PageProps {
  readonly title: string;
  readonly crumbs?: readonly Crumb[];
  readonly more?: ReactNode;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

/** The path whose heading was last told of; the first one is told of by the browser itself. */
let told = location.pathname;

/**
 * Gives the focus to the heading of a page that was gone to, so that who reads with a screen reader hears of it. Here
 * and not where the path changes, as the page may have to be loaded first.
 */
function useHeadingFocus(): void {
  const { path } = usePlace();
  useEffect(() => {
    if (path === told) return undefined;
    const focus = () => {
      told = path;
      document.getElementById('page-title')?.focus({ preventScroll: true });
    };
    // After a window that closes has given back the focus.
    const timer = setTimeout(focus, 60);
    return () => clearTimeout(timer);
  }, [path]);
}

/** A page with its heading; the heading is the document's title too. */
export function Page({ title, crumbs = [], more, actions, children }: PageProps) {
  useHeadingFocus();
  useEffect(() => {
    document.title = `${title} · ${t.product}`;
  }, [title]);
  return (
    <div className="page">
      <div className="head">
        <div className="head-words">
          {crumbs.length > 0 && (
            <ol className="crumbs">
              {crumbs.map(({ text, href }) => (
                <li key={text}>{href === undefined ? text : <Link href={href}>{text}</Link>}</li>
              ))}
            </ol>
          )}
          <h1 tabIndex={-1} id="page-title">
            {title}
          </h1>
          {more !== undefined && <p className="head-more">{more}</p>}
        </div>
        {actions !== undefined && <div className="actions">{actions}</div>}
      </div>
      {children}
    </div>
  );
}

export function Tabs({ label, tabs }: { readonly label: string; readonly tabs: readonly Required<Crumb>[] }) {
  const { path } = usePlace();
  const list = useRef<HTMLUListElement>(null);
  // On a phone not all of them are seen at once; the current one is.
  useLayoutEffect(() => {
    const current = list.current?.querySelector(`[href="${CSS.escape(path)}"]`);
    if (!list.current || !current) return;
    const [outer, inner] = [list.current.getBoundingClientRect(), current.getBoundingClientRect()];
    list.current.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
  }, [path]);
  return (
    <nav aria-label={label}>
      <ul className="tabs" ref={list}>
        {tabs.map(({ text, href }) => (
          <li key={href}>
            <Link href={href} aria-current={path === href ? 'page' : undefined}>
              {text}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

interface PanelProps {
  readonly title?: ReactNode;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
  /** Without inner space, for tables. */
  readonly flush?: boolean;
  readonly id?: string;
}

export function Panel({ title, actions, children, flush = false, id }: PanelProps) {
  const heading = id === undefined ? undefined : `${id}-title`;
  return (
    <section className="panel" id={id} aria-labelledby={title === undefined ? undefined : heading}>
      {title !== undefined && (
        <div className="panel-head">
          <h2 id={heading}>{title}</h2>
          {actions}
        </div>
      )}
      {flush ? children : <div className="panel-body">{children}</div>}
    </section>
  );
}

interface EmptyProps {
  readonly icon: IconName;
  readonly title: string;
  readonly text: ReactNode;
  readonly children?: ReactNode;
}

/** Nothing here yet: says so, and what to do next. */
export function Empty({ icon, title, text, children }: EmptyProps) {
  return (
    <div className="empty">
      <Icon name={icon} size={32} />
      <h2>{title}</h2>
      <p>{text}</p>
      {children !== undefined && <div className="actions">{children}</div>}
    </div>
  );
}

/** Room of the height the content will need, so that nothing jumps when it comes. */
export function Waiting({ rows = 4 }: { readonly rows?: number }) {
  return (
    <div className={`waiting waiting-${Math.min(rows, 12)}`} role="status">
      <Loader size="sm" />
      <span className="hidden">{t.actions.loading}</span>
    </div>
  );
}

interface AnswerProps<T> {
  readonly query: {
    readonly data: T | undefined;
    readonly error: unknown;
    readonly refetch: () => unknown;
  };
  readonly rows?: number;
  readonly children: (data: T) => ReactNode;
}

/** A query's answer, or that it is on its way, or what went wrong. Older data stays in sight under an error. */
export function Answer<T>({ query, rows, children }: AnswerProps<T>) {
  const { data, error } = query;
  if (data === undefined && error === null) return <Waiting rows={rows} />;
  return (
    <>
      {error !== null && (
        <div className="panel-body">
          <ProblemNote error={error} onRetry={() => void query.refetch()} />
        </div>
      )}
      {data !== undefined && children(data)}
    </>
  );
}
