import { createStatusClient } from '@bondhu/spotify-connection';
import { createClient } from '@supabase/supabase-js';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import type { PageConfiguration } from '../page-configuration.ts';
import { App } from './app.tsx';
import { DemoClient } from './demo-client.ts';
import { SESSION_KEY } from './session.ts';

const configuration = JSON.parse(byId('configuration').textContent ?? '') as PageConfiguration;

const supabase = createClient(configuration.supabaseUrl, configuration.supabasePublishableKey, {
  auth: { storageKey: SESSION_KEY, detectSessionInUrl: false },
});

async function getAccessToken(): Promise<string | null> {
  const { data } = await supabase.auth.getSession();
  return data.session?.access_token ?? null;
}

createRoot(byId('page')).render(
  <StrictMode>
    <App
      supabase={supabase}
      statusClient={createStatusClient({ baseUrl: configuration.apiUrl, getAccessToken })}
      demo={new DemoClient(getAccessToken)}
      sampleUsers={configuration.sampleUsers}
    />
  </StrictMode>,
);

function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
}
