/** Entry of the thread that inspects files, in a separate process. */
import { list } from './list.ts';
import type { InspectorRequest } from './requests.ts';
import { serve } from './serve.ts';
import { structureOf } from './structure.ts';
import { firstIncomplete } from './whole.ts';

serve((request, { readRemotely, part }) => {
  const wanted = request as InspectorRequest;
  if (wanted.do === 'list') return list(wanted);
  return wanted.do === 'structure' ? structureOf(wanted, readRemotely, part) : firstIncomplete(wanted);
});
