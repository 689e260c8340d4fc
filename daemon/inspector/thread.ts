/** Entry of the thread that looks into files, in a process of its own. */
import { list } from './list.ts';
import type { LookRequest } from './requests.ts';
import { serve } from './serve.ts';
import { structureOf } from './structure.ts';
import { firstBroken } from './whole.ts';

serve((request, { readRemotely, part }) => {
  const wanted = request as LookRequest;
  if (wanted.do === 'list') return list(wanted);
  return wanted.do === 'structure' ? structureOf(wanted, readRemotely, part) : firstBroken(wanted);
});
