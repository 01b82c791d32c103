/** Parts of a member, for entries that do not count bytes. */

import { RE2 } from '../catalog/re2.ts';
import { Direct } from './direct/direct.ts';
import { checkDirectOptions } from './direct/options.ts';
import type { AgentParts } from './parts.ts';

/** Of a member where nobody can dial it, nor it choose its ports: in a browser. */
export const RELAYED_PARTS: AgentParts = { regularExpressions: RE2 };

export const ALL_PARTS: AgentParts = {
  regularExpressions: RE2,
  prepareDirect(options) {
    checkDirectOptions(options);
    return (environment) => new Direct(environment, options);
  },
};
