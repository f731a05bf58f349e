import { Loader, NativeSelect, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useState } from 'react';
import { type Explained as Answered, type Attempt, useExplained } from '../../api/explain.ts';
import type { SettingChangeInput } from '../../api/settings.ts';
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
}

/** Any recipient, sender and client, decided by the server now: as edited, beside what is in force. */
export function TryAddress({ changes }: TryProps) {
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
        <Answers attempt={attemptOf(settled)} changes={changes} />
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

function Answers({ attempt, changes }: AnswersProps) {
  const [settled] = useDebouncedValue(changes, ASK_AFTER_MS);
  const { data, error } = useExplained(attempt, settled);
  if (attempt === null) return <p className="dim">{words.empty}</p>;
  if (error !== null) return <ProblemNote error={error} />;
  if (data === undefined) return <Asking />;
  const edited = settled.length > 0;
  return (
    <div className="stack">
      {edited && data.edited === null && <Note tone="warn">{words.waiting}</Note>}
      {edited && data.edited !== null ? (
        <Comparison edited={data.edited} inForce={data.inForce} differs={data.differs} />
      ) : (
        <Verdict explanation={data.inForce} />
      )}
      <Explained explanation={data.edited ?? data.inForce} before={edited ? data.inForce : undefined} />
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

interface ComparisonProps extends Pick<Answered, 'inForce' | 'differs'> {
  readonly edited: NonNullable<Answered['edited']>;
}

function Comparison({ edited, inForce, differs }: ComparisonProps) {
  return (
    <div>
      <div className={`compare ${differs ? 'is-different' : ''}`}>
        <div className="compare-side">
          <div className="compare-name">{words.edited}</div>
          <Verdict explanation={edited} />
        </div>
        <div className="compare-side">
          <div className="compare-name">{words.current}</div>
          <Verdict explanation={inForce} />
        </div>
      </div>
      <p className={differs ? undefined : 'dim'}>{differs ? words.differs : words.same}</p>
    </div>
  );
}
