import { Button, PasswordInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { useOwnChanges, useSignIns } from '../../api/me.ts';
import { useSession, useSignOut } from '../../api/session.ts';
import { Link } from '../../app/Link.tsx';
import { Dialog } from '../../parts/Dialog.tsx';
import { ProblemNote } from '../../parts/Note.tsx';
import { Page, Panel } from '../../parts/Page.tsx';
import { SecondFactorPanel } from '../../parts/SecondFactorPanel.tsx';
import { SignInHistory } from '../../parts/SignInHistory.tsx';
import { Strength } from '../../parts/Strength.tsx';
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

function SignIns() {
  return (
    <Panel title={t.signIns.title} id="sign-ins" flush>
      <SignInHistory query={useSignIns()} help={words.signInsHelp} emptyText={words.signInsEmpty} />
    </Panel>
  );
}
