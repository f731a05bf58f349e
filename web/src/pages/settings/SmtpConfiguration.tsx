import './settings.css';
import { useState } from 'react';
import type { SettingInfo } from '../../api/settings.ts';
import { Link } from '../../app/Link.tsx';
import { usePlace } from '../../app/router.ts';
import { ADVANCED_PATH, fieldId, HISTORY_PATH, isAdvanced } from '../../app/setting-place.ts';
import { Answer, Page, Panel } from '../../parts/Page.tsx';
import { t } from '../../strings.ts';
import { useFieldInAddress } from './Advanced.tsx';
import { Besides } from './Besides.tsx';
import { Field } from './Field.tsx';
import { HostTest } from './HostTest.tsx';
import { SaveBar } from './SaveBar.tsx';
import { type SettingsForm, useSettingsForm } from './use-form.ts';

const words = t.settings;

type Group =
  | 'host'
  | 'moreHosts'
  | 'rules'
  | 'schedule'
  | 'relay'
  | 'routing'
  | 'incoming'
  | 'timeouts'
  | 'other';

/** Which panel a setting stands in; what is new in the table and not named here comes under "further". */
const GROUPS: Readonly<Record<string, Group>> = {
  'smtp.retrySchedule': 'schedule',
  'smtp.queueLifetime': 'schedule',
  'smtp.delayNotice': 'schedule',
  'history.keep': 'schedule',
  'smtp.senderHosts': 'moreHosts',
  'smtp.destinationRules': 'rules',
  'smtp.relayNetworks': 'relay',
  'smtp.fallbackOn': 'routing',
  'smtp.mx.allowPrivateAddresses': 'routing',
  'smtp.ownNames': 'routing',
  'smtp.ownAddresses': 'routing',
  'smtp.sourceAddress4': 'routing',
  'smtp.sourceAddress6': 'routing',
  'smtp.hopLimit': 'incoming',
  'smtp.unknownUserNotice': 'incoming',
  'smtp.unknownUserNoticeRate': 'incoming',
  'smtp.bareNewline': 'incoming',
  'smtp.minDataRate': 'timeouts',
};

const ORDER: readonly Group[] = [
  ...([
    'host',
    'moreHosts',
    'rules',
    'schedule',
    'relay',
    'routing',
    'incoming',
    'timeouts',
    'other',
  ] as const),
];

function groupOf(key: string): Group {
  if (key.startsWith('smtp.host.')) return 'host';
  if (/^smtp\.host\d\./.test(key)) return 'moreHosts';
  if (key.startsWith('smtp.timeout.')) return 'timeouts';
  return GROUPS[key] ?? 'other';
}

/** The SMTP host, the schedule, who may relay, and every other setting that is not one of the eight. */
export default function SmtpConfiguration() {
  const { list, form } = useSettingsForm();
  useFieldInAddress(list.data !== undefined);
  const settings = form.settings.filter(({ key }) => !isAdvanced(key));
  return (
    <Page
      title={words.smtpTitle}
      crumbs={[{ text: t.nav.configuration }]}
      more={words.smtpMore}
      actions={
        <>
          <Link href={ADVANCED_PATH}>{words.toAdvanced}</Link>
          <Link href={HISTORY_PATH}>{words.toHistory}</Link>
        </>
      }
    >
      <Answer query={list} rows={12}>
        {() => (
          <form
            aria-label={words.formLabel}
            noValidate
            className="settings-column"
            onSubmit={(event) => {
              event.preventDefault();
              void form.save();
            }}
          >
            {ORDER.map((group) => {
              const members = settings.filter(({ key }) => groupOf(key) === group);
              return members.length === 0 ? null : (
                <GroupPanel key={group} group={group} settings={members} form={form} />
              );
            })}
            <Besides form={form} isHere={(key) => !isAdvanced(key)} />
            <SaveBar form={form} />
          </form>
        )}
      </Answer>
    </Page>
  );
}

interface GroupProps {
  readonly group: Group;
  readonly settings: readonly SettingInfo[];
  readonly form: SettingsForm;
}

function GroupPanel({ group, settings, form }: GroupProps) {
  const more = group === 'other' ? undefined : words.groupsMore[group];
  const fields = settings.map((setting) => <Field key={setting.key} setting={setting} form={form} />);
  return (
    <Panel title={words.groups[group]} id={`group-${group}`} flush>
      {more !== undefined && <p className="group-more">{more}</p>}
      {group === 'timeouts' || group === 'moreHosts' ? (
        <Folded group={group} settings={settings} form={form} />
      ) : (
        fields
      )}
      {group === 'host' && <HostTest form={form} />}
    </Panel>
  );
}

/** Seldom touched, so folded away until something in it is edited, wrong or pointed at. */
function Folded({ group, settings, form }: GroupProps & { readonly group: keyof typeof words.folded }) {
  const { hash } = usePlace();
  const [wanted, setWanted] = useState<boolean | null>(null);
  const needed = settings.some(
    ({ key }) => form.isChanged(key) || form.errorsAt(key).length > 0 || hash === `#${fieldId(key)}`,
  );
  // Further hosts that are entered are part of what this server does, and are seen.
  const used = group === 'moreHosts' && settings.some(({ text, defaultText }) => text !== defaultText);
  const open = needed || (wanted ?? used);
  return (
    <>
      <p className="group-more fold">
        <button type="button" className="text-button" aria-expanded={open} onClick={() => setWanted(!open)}>
          {open ? words.folded[group].hide : words.folded[group].show}
        </button>
      </p>
      {open && settings.map((setting) => <Field key={setting.key} setting={setting} form={form} />)}
    </>
  );
}
