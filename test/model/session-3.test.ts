/** Model of a session's resume and migration, part 3 of 4: every way to the peer may break, and nothing may be lost. */

import { describeSessionModel } from '../support/session-model/suite.ts';

describeSessionModel(2, 4);
