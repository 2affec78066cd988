import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { DashboardPage } from './dashboard-page.tsx';

const element = document.getElementById('page');
if (!element) throw new Error('the page has no #page');
createRoot(element).render(
  <StrictMode>
    <DashboardPage />
  </StrictMode>,
);
