import { Button, PasswordInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { type SignInRow, useOwnChanges, useSignIns } from '../../api/me.ts';
import { useSession, useSignOut } from '../../api/session.ts';
import { Link } from '../../app/Link.tsx';
import { Dialog } from '../../parts/Dialog.tsx';
import { Mark, ProblemNote } from '../../parts/Note.tsx';
import { Answer, Empty, Page, Panel } from '../../parts/Page.tsx';
import { SecondFactorPanel } from '../../parts/SecondFactorPanel.tsx';
import { Strength } from '../../parts/Strength.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';

const words = t.me.password;

/** The own password, the second factor, and who signed in. */
export default function Password() {
  const signOut = useSignOut();
  const [leaving, setLeaving] = useState(false);
  return (
    <Page
      title={words.title}
      more={words.more}
      actions={
        <Button variant="default" onClick={() => setLeaving(true)}>
          {words.everywhere}
        </Button>
      }
    >
      <div className="stack">
        <PasswordForm />
        <SecondFactorPanel title={words.factor}>
          <p className="dim small">
            {words.factorPrograms} <Link href="/programs">{words.toPrograms}</Link>
          </p>
        </SecondFactorPanel>
        <SignIns />
      </div>
      {leaving && (
        <Dialog
          title={words.everywhere}
          opened
          onClose={() => setLeaving(false)}
          submit={words.everywhere}
          onSubmit={() => signOut(true)}
        >
          <p>{words.everywhereText}</p>
        </Dialog>
      )}
    </Page>
  );
}

function PasswordForm() {
  const { setPassword } = useOwnChanges();
  const name = useSession()?.name ?? '';
  const [present, setPresent] = useState('');
  const [fresh, setFresh] = useState('');
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (setPassword.isPending) return;
    setPassword.mutate(
      { currentPassword: present, password: fresh },
      {
        onSuccess: () => {
          setPresent('');
          setFresh('');
          toast(words.done);
        },
      },
    );
  };
  return (
    <Panel title={words.change} id="change">
      <form className="stack me-form" onSubmit={send}>
        {/* So that a password manager knows whose password this is. */}
        <input
          className="hidden"
          type="text"
          autoComplete="username"
          value={name}
          readOnly
          tabIndex={-1}
          aria-hidden
        />
        <PasswordInput
          label={words.present}
          autoComplete="current-password"
          value={present}
          onChange={(event) => setPresent(event.currentTarget.value)}
        />
        <PasswordInput
          label={words.fresh}
          autoComplete="new-password"
          value={fresh}
          onChange={(event) => setFresh(event.currentTarget.value)}
        />
        {fresh !== '' && <Strength password={fresh} name={name} />}
        {setPassword.error !== null && <ProblemNote error={setPassword.error} />}
        <p className="dim small">{words.programs}</p>
        <div>
          <Button type="submit" loading={setPassword.isPending} disabled={present === '' || fresh === ''}>
            {words.change}
          </Button>
        </div>
      </form>
    </Panel>
  );
}

/** Several may have one time. */
type Row = SignInRow & { readonly key: string };

const COLUMNS: readonly Column<Row>[] = [
  { key: 'when', label: words.when, cell: ({ at }) => <Time at={at} /> },
  {
    key: 'outcome',
    label: words.outcome,
    cell: ({ outcome, reason }) => (
      <>
        <Mark tone={outcome === 'ok' ? 'good' : 'bad'}>{outcome === 'ok' ? words.ok : words.refused}</Mark>
        {reason !== null && <div className="small break">{reason}</div>}
      </>
    ),
  },
  {
    key: 'what',
    label: words.what,
    cell: ({ service, appPassword }) => (
      <>
        {words.services[service] ?? service}
        {appPassword !== null && <div className="dim small break">{words.by(appPassword)}</div>}
      </>
    ),
  },
  {
    key: 'from',
    label: words.from,
    cell: ({ address, tls }) => (
      <>
        <span className="mono break">{address}</span>
        <div className="dim small">{tls ?? words.clear}</div>
      </>
    ),
  },
];

function SignIns() {
  const query = useSignIns();
  return (
    <Panel title={words.signIns} id="sign-ins" flush>
      <p className="panel-body dim small">{words.signInsHelp}</p>
      <Answer query={query} rows={6}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty icon="clock" title={words.emptyTitle} text={words.emptyText} />
          ) : (
            <Table
              label={words.signIns}
              columns={COLUMNS}
              rows={rows.map((row, at) => ({ ...row, key: `${row.at} ${at}` }))}
              rowKey={({ key }) => key}
              rowName={({ at }) => at}
            />
          )
        }
      </Answer>
    </Panel>
  );
}
