import { useAccountSignIns } from '../../api/directory.ts';
import { usePlace } from '../../app/router.ts';
import { Page, Panel } from '../../parts/Page.tsx';
import { SignInHistory } from '../../parts/SignInHistory.tsx';
import { t } from '../../strings.ts';

const words = t.directory.accounts;

/** Who signed in to somebody's account or tried to. */
export default function SignIns() {
  const address = usePlace().search.get('address') ?? '';
  return (
    <Page title={words.signIns} crumbs={[{ text: words.title, href: '/accounts' }]} more={address}>
      <Panel flush>
        <SignInHistory
          query={useAccountSignIns(address)}
          help={words.signInsHelp}
          emptyText={words.signInsEmpty}
        />
      </Panel>
    </Page>
  );
}
