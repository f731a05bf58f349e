import { Checkbox, NativeSelect, PasswordInput, TextInput } from '@mantine/core';
import type { ReactNode } from 'react';
import type { SettingInfo } from '../../api/settings.ts';
import { fieldId } from '../../app/setting-place.ts';
import { Icon } from '../../parts/Icon.tsx';
import { Mark } from '../../parts/Note.tsx';
import { t } from '../../strings.ts';
import { RulesEditor } from './RulesEditor.tsx';
import type { SettingsForm } from './use-form.ts';

const words = t.settings;

/** A list whose entries have parts: a table in place of a line. */
const RULES_KEY = 'smtp.destinationRules';

interface FieldProps {
  readonly setting: SettingInfo;
  readonly form: SettingsForm;
}

/** One setting: label, control, unit, default and range, help, what a change will do, errors and warnings. */
export function Field({ setting, form }: FieldProps) {
  const { key, help } = setting;
  const id = fieldId(key);
  const errors = form.errorsAt(key);
  const warnings = form.warningsAt(key);
  const changed = form.isChanged(key);
  const state = errors.length > 0 ? 'is-wrong' : changed ? 'is-changed' : '';
  return (
    <div className={`field ${state}`} id={`${id}-row`}>
      <div className="field-main">
        <Control setting={setting} form={form} id={id} invalid={errors.length > 0} />
        <p className="field-help" id={`${id}-help`}>
          {help}
        </p>
        <div className="field-said" id={`${id}-said`} aria-live="polite">
          {errors.map(({ message, wouldDo }) => (
            <p key={message} className="field-error">
              <Icon name="bad" size={16} />
              <span>
                {sentence(message)} {wouldDo !== '' && t.problem.wouldDo(wouldDo)}
              </span>
            </p>
          ))}
          {changed && errors.length === 0 && <WillDo text={form.willDo(key)} />}
          {warnings.map((text) => (
            <p key={text} className="field-warning">
              <Icon name="warn" size={16} />
              <span>
                <strong>{words.noEffect}:</strong> {text}
              </span>
            </p>
          ))}
        </div>
      </div>
      <Aside setting={setting} form={form} changed={changed} />
    </div>
  );
}

/** What the server says begins small, as part of its own sentence. */
function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

/** What the change will do, in the server's one sentence; its room is there before the sentence is. */
function WillDo({ text }: { readonly text: string }) {
  return (
    <p className="field-will">
      <Icon name="arrow" size={16} />
      <span>{text}</span>
    </p>
  );
}

/** Beside the field: default, range, and what was there before. */
function Aside({ setting, form, changed }: FieldProps & { readonly changed: boolean }) {
  const { key, secret, range, unit } = setting;
  const standard = setting.defaultText;
  if (secret) return <div className="field-aside">{changed && <Mark tone="info">{words.changed}</Mark>}</div>;
  return (
    <div className="field-aside">
      <span>{words.fallsTo(standard === '' ? words.empty : withUnit(standard, unit))}</span>
      {showsRange(setting) && <span>{words.allowed(withUnit(range, unit))}</span>}
      {changed && (
        <span className="row">
          <Mark tone="info">{words.changed}</Mark>
          <span className="break">{words.was(setting.text === '' ? words.empty : setting.text)}</span>
        </span>
      )}
      {form.text(key).trim() !== standard && (
        <button type="button" className="text-button" onClick={() => form.edit(key, standard)}>
          {words.resetToDefault}
          <span className="hidden">: {setting.label}</span>
        </button>
      )}
    </div>
  );
}

/** A plain number gets its unit; sizes and durations carry theirs. */
function withUnit(text: string, unit: string): string {
  return /\d$/.test(text) && unit !== '' && unit !== 'bytes' ? `${text} ${unit}` : text;
}

/** Where the control shows all there is to choose, the range says nothing new. */
function showsRange({ kind, range }: SettingInfo): boolean {
  return range !== '' && (kind === 'number' || kind === 'text');
}

interface ControlProps extends FieldProps {
  readonly id: string;
  readonly invalid: boolean;
}

function Control({ setting, form, id, invalid }: ControlProps) {
  const { key, label, kind, unit, choices } = setting;
  const text = form.text(key);
  const about = {
    id,
    'aria-describedby': `${id}-help ${id}-said`,
    'aria-invalid': invalid || undefined,
    error: invalid,
  };
  const edit = (value: string) => form.edit(key, value);
  if (kind === 'onOff') {
    return (
      <Checkbox
        {...about}
        label={label}
        checked={text === 'on'}
        onChange={(event) => edit(event.currentTarget.checked ? 'on' : 'off')}
      />
    );
  }
  if (kind === 'choice') {
    return (
      <NativeSelect
        {...about}
        label={label}
        className="field-choice"
        data={[...choices]}
        value={text}
        onChange={(event) => edit(event.currentTarget.value)}
      />
    );
  }
  if (key === RULES_KEY) return <RulesEditor id={id} label={label} text={text} onChange={edit} />;
  if (kind === 'choices') return <Choices setting={setting} form={form} id={id} />;
  if (setting.secret) return <Secret setting={setting} form={form} about={about} />;
  const number = kind === 'number' || setting.type === 'size' || setting.type === 'duration';
  return (
    <TextInput
      {...about}
      label={label}
      className={number ? 'field-short' : 'field-long'}
      value={text}
      inputMode={number && setting.wholeNumber ? 'numeric' : undefined}
      autoComplete="off"
      spellCheck={false}
      rightSection={unitOf(number ? unit : '')}
      rightSectionWidth={unit.length > 2 ? 72 : 40}
      rightSectionPointerEvents="none"
      onChange={(event) => edit(event.currentTarget.value)}
    />
  );
}

function unitOf(unit: string): ReactNode {
  return unit === '' || unit === 'bytes' ? undefined : <span className="dim small">{unit}</span>;
}

function Choices({ setting, form, id }: FieldProps & { readonly id: string }) {
  const { key, label, choices } = setting;
  const chosen = form.text(key).split(',').filter(Boolean);
  const toggle = (choice: string) => {
    const next = choices.filter((one) => (one === choice ? !chosen.includes(one) : chosen.includes(one)));
    form.edit(key, next.join(','));
  };
  return (
    <fieldset className="choices" id={id} aria-describedby={`${id}-help ${id}-said`} tabIndex={-1}>
      <legend>{label}</legend>
      {choices.map((choice) => (
        <Checkbox
          key={choice}
          size="xs"
          label={
            <>
              <span className="mono">{choice}</span>
              {words.kinds[choice] !== undefined && <span className="dim"> {words.kinds[choice]}</span>}
            </>
          }
          checked={chosen.includes(choice)}
          onChange={() => toggle(choice)}
        />
      ))}
    </fieldset>
  );
}

function Secret({ setting, form, about }: FieldProps & { readonly about: object }) {
  const { key, label } = setting;
  const stored = setting.text !== '';
  const changed = form.isChanged(key);
  const clearing = changed && form.text(key) === '';
  return (
    <div className="stack-tight">
      <PasswordInput
        {...about}
        label={label}
        className="field-long"
        autoComplete="new-password"
        placeholder={clearing ? words.secretCleared : stored ? words.secretKeep : words.secretNone}
        value={changed ? form.text(key) : ''}
        onChange={(event) => {
          const value = event.currentTarget.value;
          if (value === '') form.forget(key);
          else form.edit(key, value);
        }}
      />
      {stored && !clearing && (
        <div>
          <button type="button" className="text-button" onClick={() => form.edit(key, '')}>
            {words.secretClear}
          </button>
        </div>
      )}
    </div>
  );
}
