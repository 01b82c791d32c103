/** All parts of a member, for entries that do not count bytes. */

import { RE2 } from '../catalog/re2.ts';
import type { AgentParts } from './parts.ts';

export const ALL_PARTS: AgentParts = { regularExpressions: RE2 };
