/** Every English sentence of the page, by where it stands. Labels and help of settings come from the server's own table. */
import { access } from './strings/access.ts';
import { common } from './strings/common.ts';
import { dashboard } from './strings/dashboard.ts';
import { directory } from './strings/directory.ts';
import { mail } from './strings/mail.ts';
import { me } from './strings/me.ts';
import { settings } from './strings/settings.ts';
import { setup } from './strings/setup.ts';

export const t = { ...common, access, dashboard, directory, mail, me, settings, setup } as const;
