import './settings.css';
import { useSettingsHistory } from '../../api/settings.ts';
import { Link } from '../../app/Link.tsx';
import { ADVANCED_PATH, SMTP_PATH } from '../../app/setting-place.ts';
import { Answer, Empty, Page, Panel } from '../../parts/Page.tsx';
import { t } from '../../strings.ts';
import { HistoryTable } from './RecentChanges.tsx';

const words = t.settings.history;
const SHOWN = 500;

export default function History() {
  const history = useSettingsHistory(SHOWN);
  return (
    <Page
      title={words.title}
      crumbs={[{ text: t.nav.configuration }, { text: t.settings.smtpTitle, href: SMTP_PATH }]}
      more={words.more}
    >
      <Panel flush>
        <Answer query={history} rows={8}>
          {(rows) =>
            rows.length === 0 ? (
              <Empty icon="clock" title={words.emptyTitle} text={words.emptyText}>
                <Link href={ADVANCED_PATH}>{words.toSettings}</Link>
              </Empty>
            ) : (
              <HistoryTable rows={rows} />
            )
          }
        </Answer>
      </Panel>
    </Page>
  );
}
