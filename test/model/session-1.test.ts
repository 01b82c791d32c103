/** Model of a session's resume and migration, part 1 of 4: every way to the peer may break, and nothing may be lost. */

import { describeSessionModel } from '../support/session-model/suite.ts';

describeSessionModel(0, 4);
