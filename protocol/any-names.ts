/** Records whose names people choose: params, metrics, variables. */
import * as v from 'valibot';

/** Names that `v.record` drops without an issue, since an assignment to them can reach a prototype. */
const LEFT_OUT = ['__proto__', 'prototype', 'constructor'] as const;

/** Makes a schema as `v.record` does that keeps each name: a param may be called `constructor`. */
export function namedRecord<
  K extends v.BaseSchema<string, string, v.BaseIssue<unknown>>,
  V extends v.BaseSchema<unknown, unknown, v.BaseIssue<unknown>>,
>(key: K, value: V): v.RecordSchema<K, V, undefined> {
  const schema = v.record(key, value);
  const others = schema['~run'];
  return Object.assign(schema, {
    '~run'(this: typeof schema, dataset: v.UnknownDataset, config: v.Config<v.BaseIssue<unknown>>) {
      const input = dataset.value;
      const result = others.call(this, dataset, config);
      if (typeof input !== 'object' || input === null) return result;
      for (const name of LEFT_OUT) {
        if (!Object.hasOwn(input, name)) continue;
        // Valibot judges the value under a name that it does not leave out.
        const alias = `${name}_`;
        const judged = others.call(this, { value: { [alias]: Reflect.get(input, name) } }, config);
        for (const issue of judged.issues ?? []) {
          const [first, ...rest] = issue.path ?? [];
          const named = first ? { path: [{ ...first, input, key: name }, ...rest] } : {};
          result.issues = [...(result.issues ?? []), { ...issue, ...named }] as typeof result.issues;
          result.typed = false;
        }
        // Defined and not assigned: an assignment to `__proto__` makes no entry.
        const kept = (judged.value as Record<string, unknown>)[alias];
        if (judged.issues === undefined)
          Object.defineProperty(result.value, name, {
            value: kept,
            enumerable: true,
            writable: true,
            configurable: true,
          });
      }
      return result;
    },
  });
}
