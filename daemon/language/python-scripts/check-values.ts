/** Seeds that are drawn anew in the loop: a process that goes on draws others. */
import { clauseOf } from '../../../protocol/findings.ts';
import type { Finding } from '../codes.ts';
import { keyOf, lastOf } from './flow.ts';
import type { Call, Node } from './nodes.ts';
import { walk } from './nodes.ts';
import { callsIn, type Script } from './script.ts';

/** Functions that take a seed, whatever module they are of. */
const SEEDED = new Set(
  'seed manual_seed manual_seed_all set_seed seed_everything default_rng RandomState Random SeedSequence PRNGKey'.split(
    ' ',
  ),
);
/** Functions that ask the operating system for a seed when they are given none. */
const SEED_THEMSELVES = /^(random\.(Random|seed)|(np|numpy)\.random\.(default_rng|RandomState|SeedSequence|seed))$/;
const OTHERS = new Set(
  'urandom getrandom uuid1 uuid4 token_bytes token_hex randbelow randbits getpid time time_ns perf_counter perf_counter_ns monotonic monotonic_ns'.split(
    ' ',
  ),
);

/** Finds them in the loops of the run. A seed that is drawn once before `init` is kept with the random numbers. */
export function checkValues(script: Script): Finding[] {
  const found = script.scopes.flatMap((scope) => {
    const loops = scope.loops.filter((loop) => scope.isOverBatches(loop) || scope.isOverEpochs(loop));
    return loops.flatMap((loop) => callsIn(loop.body.flatMap((statement) => [...walk(statement)])).flatMap(drawnFor));
  });
  return [...new Set(found)].map((call) =>
    script.at('otherValue', call, `\`${script.textOf(call.func)}()\` ${clauseOf('otherValue')}`),
  );
}

/** Returns the call that a seed is drawn by. */
function drawnFor(call: Call): Call[] {
  const key = keyOf(call.func) ?? '';
  if (!SEEDED.has(lastOf(key))) return [];
  const given: Node[] = [...call.args, ...call.keywords.map(({ value }) => value)];
  if (given.length === 0) return SEED_THEMSELVES.test(key) ? [call] : [];
  const calls = callsIn(given.flatMap((one) => [...walk(one)]));
  return calls.filter(({ func }) => OTHERS.has(lastOf(keyOf(func) ?? ''))).slice(0, 1);
}
