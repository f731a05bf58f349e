/** The two pages outside the frame. */
import { lazy } from 'react';

export const Login = lazy(() => import('../pages/login/Login.tsx'));
export const Setup = lazy(() => import('../pages/setup/Setup.tsx'));
