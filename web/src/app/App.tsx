import { Button } from '@mantine/core';
import { Component, type ReactNode, Suspense } from 'react';
import { type Session, useSessionQuery } from '../api/session.ts';
import { BusyLine } from '../parts/BusyLine.tsx';
import { Note, ProblemNote } from '../parts/Note.tsx';
import { Empty, Page, Waiting } from '../parts/Page.tsx';
import { Toasts } from '../parts/toasts.tsx';
import { t } from '../strings.ts';
import { Login, Setup } from './lazy.ts';
import { pagesOf } from './pages.ts';
import { matchPath, navigate, usePlace } from './router.ts';
import { Shell } from './Shell.tsx';

/** Which of the three worlds is shown: the first run, the sign-in, or the page itself. */
export function App() {
  const { path } = usePlace();
  return (
    <>
      <BusyLine />
      {path === '/setup' ? (
        <Suspense fallback={<Waiting rows={12} />}>
          <Setup />
        </Suspense>
      ) : (
        <SignedIn />
      )}
      <Toasts />
    </>
  );
}

function SignedIn() {
  const session = useSessionQuery();
  if (session.isPending) return <Waiting rows={12} />;
  if (session.error !== null && session.data === undefined) {
    return (
      <main className="alone">
        <ProblemNote error={session.error} onRetry={() => void session.refetch()} />
      </main>
    );
  }
  if (session.data === null || session.data === undefined) {
    return (
      <Suspense fallback={<Waiting rows={12} />}>
        <Login />
      </Suspense>
    );
  }
  return (
    <Shell kind={session.data.kind}>
      <CurrentPage kind={session.data.kind} />
    </Shell>
  );
}

function CurrentPage({ kind }: { readonly kind: Session['kind'] }) {
  const { path } = usePlace();
  for (const { pattern, component: Found } of pagesOf(kind)) {
    const params = matchPath(pattern, path);
    if (params === null) continue;
    return (
      <ErrorBoundary key={path}>
        <Suspense fallback={<Waiting rows={12} />}>
          <Found params={params} />
        </Suspense>
      </ErrorBoundary>
    );
  }
  return (
    <Page title={t.problem.notFound}>
      <Empty icon="search" title={t.problem.notFound} text={t.problem.notFoundText}>
        <Button onClick={() => void navigate('/')}>
          {kind === 'account' ? t.me.toMessages : t.problem.toDashboard}
        </Button>
      </Empty>
    </Page>
  );
}

/** An error of the page's own: said in words, with a way on, instead of an empty window. */
class ErrorBoundary extends Component<{ readonly children: ReactNode }, { readonly error: unknown }> {
  override state = { error: null as unknown };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <Page title={t.problem.title}>
        <div className="stack">
          <Note tone="bad" live>
            <strong>{t.problem.crashed}</strong>
            <div className="mono">{String(this.state.error)}</div>
            <div>{t.problem.crashedMend}</div>
          </Note>
          <div>
            <Button onClick={() => location.reload()}>{t.problem.reload}</Button>
          </div>
        </div>
      </Page>
    );
  }
}
