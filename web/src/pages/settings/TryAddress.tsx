import { Loader, NativeSelect, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useState } from 'react';
import { type Attempt, useExplanation } from '../../api/explain.ts';
import type { SettingChangeInput } from '../../api/settings.ts';
import type { Explanation } from '../../api/types.ts';
import { Note, ProblemNote } from '../../parts/Note.tsx';
import { Panel } from '../../parts/Page.tsx';
import { t } from '../../strings.ts';
import { Explained, Verdict } from './Explained.tsx';

const words = t.settings.attempt;
const ASK_AFTER_MS = 350;

type ClientKind = 'external' | 'local' | 'user';

interface Entered {
  readonly recipient: string;
  readonly sender: string;
  readonly kind: ClientKind;
  readonly address: string;
  readonly user: string;
}

interface TryProps {
  /** The settings as edited; empty when nothing was. */
  readonly changes: readonly SettingChangeInput[];
  /** Whether the server says yes to them. */
  readonly valid: boolean;
}

/** Any recipient, sender and client, decided by the server now: as edited, beside what is in force. */
export function TryAddress({ changes, valid }: TryProps) {
  const [entered, setEntered] = useState<Entered>({
    recipient: '',
    sender: '',
    kind: 'external',
    address: '',
    user: '',
  });
  const [settled] = useDebouncedValue(entered, ASK_AFTER_MS);
  const set = (change: Partial<Entered>) => setEntered((before) => ({ ...before, ...change }));
  return (
    <Panel title={words.title} id="try">
      <p className="dim small">{words.more}</p>
      <div className="try-form">
        <TextInput
          label={words.recipient}
          placeholder={words.recipientPlaceholder}
          type="text"
          inputMode="email"
          autoComplete="off"
          spellCheck={false}
          value={entered.recipient}
          onChange={(event) => set({ recipient: event.currentTarget.value })}
        />
        <TextInput
          label={words.sender}
          placeholder={words.senderPlaceholder}
          inputMode="email"
          autoComplete="off"
          spellCheck={false}
          value={entered.sender}
          onChange={(event) => set({ sender: event.currentTarget.value })}
        />
        <ClientFields entered={entered} set={set} />
      </div>
      <div className="try-answer" aria-live="polite">
        <Answers attempt={attemptOf(settled)} changes={changes} valid={valid} />
      </div>
    </Panel>
  );
}

function ClientFields({
  entered,
  set,
}: {
  readonly entered: Entered;
  readonly set: (change: Partial<Entered>) => void;
}) {
  const kinds = [
    { value: 'external', label: words.external },
    { value: 'local', label: words.local },
    { value: 'user', label: words.user },
  ];
  return (
    <>
      <NativeSelect
        label={words.client}
        data={kinds}
        value={entered.kind}
        onChange={(event) => set({ kind: event.currentTarget.value as ClientKind })}
      />
      {entered.kind === 'local' && (
        <TextInput
          label={words.address}
          placeholder="127.0.0.1"
          autoComplete="off"
          value={entered.address}
          onChange={(event) => set({ address: event.currentTarget.value })}
        />
      )}
      {entered.kind === 'user' && (
        <TextInput
          label={words.userName}
          inputMode="email"
          autoComplete="off"
          value={entered.user}
          onChange={(event) => set({ user: event.currentTarget.value })}
        />
      )}
    </>
  );
}

function attemptOf({ recipient, sender, kind, address, user }: Entered): Attempt | null {
  if (recipient.trim() === '') return null;
  return {
    address: recipient.trim(),
    from: sender.trim(),
    client: kind === 'local' ? address.trim() || '127.0.0.1' : null,
    user: kind === 'user' && user.trim() !== '' ? user.trim() : null,
  };
}

interface AnswersProps extends TryProps {
  readonly attempt: Attempt | null;
}

function Answers({ attempt, changes, valid }: AnswersProps) {
  const edited = changes.length > 0;
  const current = useExplanation(attempt, []);
  const asEdited = useExplanation(edited && valid ? attempt : null, changes);
  if (attempt === null) return <p className="dim">{words.empty}</p>;
  if (current.error !== null) return <ProblemNote error={current.error} />;
  if (current.data === undefined) return <Asking />;
  if (!edited) {
    return (
      <div className="stack">
        <Verdict explanation={current.data} />
        <Explained explanation={current.data} />
      </div>
    );
  }
  return (
    <div className="stack">
      {!valid && asEdited.data === undefined && <Note tone="warn">{words.waiting}</Note>}
      {asEdited.error !== null && <ProblemNote error={asEdited.error} />}
      {asEdited.data !== undefined && <Comparison edited={asEdited.data} current={current.data} />}
      <Explained explanation={asEdited.data ?? current.data} />
    </div>
  );
}

function Asking() {
  return (
    <div className="row dim">
      <Loader size="xs" /> {words.looking}
    </div>
  );
}

function Comparison({ edited, current }: { readonly edited: Explanation; readonly current: Explanation }) {
  const same = essence(edited) === essence(current);
  return (
    <div>
      <div className={`compare ${same ? '' : 'is-different'}`}>
        <div className="compare-side">
          <div className="compare-name">{words.edited}</div>
          <Verdict explanation={edited} />
        </div>
        <div className="compare-side">
          <div className="compare-name">{words.current}</div>
          <Verdict explanation={current} />
        </div>
      </div>
      <p className={same ? 'dim' : undefined}>{same ? words.same : words.differs}</p>
    </div>
  );
}

/** What makes two answers different to the person who gets the mail or the reply. */
function essence({ decision, rule, reply, route, outlook }: Explanation): string {
  const hosts = route?.hosts.map(({ name, port }) => `${name}:${port}`).toSorted();
  const later = outlook.map(({ kind, action, via }) => [kind, action, via]);
  return JSON.stringify([decision, rule, reply, route?.via, route?.fallback, route?.failure, hosts, later]);
}
