/** A Python script as the checks see it. */
import type { TextDocument } from 'vscode-languageserver-textdocument';
import type { Code, Finding, Fix } from '../codes.ts';
import { rangeOf } from '../document.ts';
import { type Key, keyOf } from './flow.ts';
import { Names, type Scope, scopesOf } from './loop-variables.ts';
import type { Call, Import, Module, Node } from './nodes.ts';
import { walk } from './nodes.ts';
import { parsePython } from './parse.ts';
import { isInit } from './syntax.ts';

const PACKAGE = 'trainstash';

export class Script {
  readonly document: TextDocument;
  readonly text: string;
  readonly module: Module;
  readonly names: Names;
  /** Scopes without a place that is no Python: what such a place means is not known. */
  readonly scopes: Scope[];
  readonly isBroken: boolean;

  private constructor(document: TextDocument) {
    this.document = document;
    this.text = document.getText();
    const { module, errors } = parsePython(this.text);
    this.module = module;
    this.names = new Names(module);
    const scopes = scopesOf(module, this.names, this.text);
    const broken = new Set(errors.map((error) => innermost(scopes, error.from)));
    this.scopes = scopes.filter((scope) => !broken.has(scope));
    this.isBroken = broken.size > 0;
  }

  /** Reads a script; null: it does not use the package, and so nothing is to be said of it. */
  static read(document: TextDocument): Script | null {
    if (!document.getText().includes(PACKAGE)) return null;
    const script = new Script(document);
    return importsPackage(script.module) ? script : null;
  }

  /** Makes a finding at a node. */
  at(code: Code, node: { from: number; to: number }, text: string, fixes: (Fix | null)[] = []): Finding {
    const known = fixes.filter((fix) => fix !== null);
    return {
      code,
      range: rangeOf(this.document, node.from, node.to - node.from),
      text,
      ...(known.length > 0 ? { fixes: known } : {}),
    };
  }

  edit(from: number, to: number, newText: string): Fix['edits'][number] {
    return { range: rangeOf(this.document, from, to - from), newText };
  }

  /** Returns the text of a node. */
  textOf({ from, to }: { from: number; to: number }): string {
    return this.text.slice(from, to);
  }

  /** Returns the offset at which the line of an offset begins, and its indentation. */
  lineOf(offset: number): { start: number; indent: string } {
    const start = this.text.lastIndexOf('\n', offset - 1) + 1;
    return { start, indent: /^[ \t]*/.exec(this.text.slice(start, offset))![0] };
  }
}

/** Finds the calls in a scope, in the order of the text. */
export function callsIn(nodes: Iterable<Node>): Call[] {
  return [...nodes].filter((node) => node.kind === 'Call').sort((a, b) => a.from - b.from);
}

/** Returns the key of the object whose method a call calls, and the method. */
export function methodOf(call: Call): { of: Key; method: string } | null {
  if (call.func.kind !== 'Attribute') return null;
  const of = keyOf(call.func.value);
  return of === null ? null : { of, method: call.func.attr };
}

/** Finds the call of `trainstash.init` in a scope. It takes keywords only, which another function called `init` rarely does. */
export function initIn(scope: Scope): Call | undefined {
  if (!inits.has(scope))
    inits.set(
      scope,
      callsIn(scope.nodes).find((call) => isInit(call) && call.args.length === 0),
    );
  return inits.get(scope);
}

const inits = new WeakMap<Scope, Call | undefined>();

/** Tells whether everything in a node runs in the scope itself: no definition lies between. */
export function holds(outer: Node, inner: { from: number; to: number }): boolean {
  return outer.from <= inner.from && inner.to <= outer.to;
}

function importsPackage(module: Module): boolean {
  const imports = [...walk(module)].filter((node): node is Import => node.kind === 'Import');
  const isOurs = (name: string) => name === PACKAGE || name.startsWith(`${PACKAGE}.`);
  return imports.some((one) => (one.module === null ? one.names.some(({ name }) => isOurs(name)) : isOurs(one.module)));
}

/** Finds the innermost scope of a place. The outermost one has no end of its own. */
function innermost(scopes: readonly Scope[], offset: number): Scope | undefined {
  return scopes
    .filter(({ node }) => node.kind === 'Module' || (node.from <= offset && offset <= node.to))
    .sort((a, b) => b.node.from - a.node.from)[0];
}
