/** Parses Python with Lezer's grammar, and makes the nodes of Python's `ast` of its tree. A broken text gives what can be understood of it. */
import type { SyntaxNode } from '@lezer/common';
import { parser } from '@lezer/python';
import { Lines } from './lines.ts';
import type { Case, Handler, Module, Node } from './nodes.ts';
import { Expressions, target } from './parse-expressions.ts';
import { readable } from './readable.ts';

export interface ParsedPython {
  module: Module;
  /** Places at which the text is no Python that the grammar knows. */
  errors: { from: number; to: number }[];
  lines: Lines;
}

export function parsePython(text: string): ParsedPython {
  const tree = parser.parse(readable(text));
  const errors: { from: number; to: number }[] = [];
  tree.iterate({
    enter: ({ type, from, to }) => {
      if (type.isError) errors.push({ from, to });
    },
  });
  const lines = new Lines(text);
  const body = new Builder(text, lines).statements(tree.topNode);
  return { module: { kind: 'Module', body, from: 0, to: text.length, line: 1, endLine: lines.count }, errors, lines };
}

class Builder {
  readonly #text: string;
  readonly #lines: Lines;
  readonly #expressions: Expressions;

  constructor(text: string, lines: Lines) {
    this.#text = text;
    this.#lines = lines;
    this.#expressions = new Expressions(text, lines);
  }

  statements(parent: SyntaxNode): Node[] {
    const found: Node[] = [];
    for (let node = parent.firstChild; node; node = node.nextSibling) found.push(...this.#statement(node));
    return found;
  }

  #statement(node: SyntaxNode): Node[] {
    const parts = childList(node);
    const at = this.#lines.placeOf(node.from, node.to);
    switch (node.name) {
      case 'StatementGroup':
        return this.statements(node);
      case 'ExpressionStatement': {
        const value = this.#expressions.list(parts, node);
        return value ? [{ ...at, kind: 'Expr', value }] : [];
      }
      case 'AssignStatement':
        return this.#assign(node, parts);
      case 'UpdateStatement': {
        const operator = parts.findIndex(({ name }) => name === 'UpdateOp');
        const goal = this.#expressions.list(parts.slice(0, operator), node);
        const value = this.#expressions.list(parts.slice(operator + 1), node);
        return goal && value ? [{ ...at, kind: 'AugAssign', target: target(goal), value }] : [];
      }
      case 'IfStatement':
        return this.#conditional(node, parts);
      case 'ForStatement':
        return this.#forLoop(node, parts);
      case 'WhileStatement': {
        const bodies = this.#bodies(parts);
        const test = this.#expressions.one(parts.find(({ name }) => name !== 'while' && name !== 'Body'));
        if (!test) return [];
        return [this.#ended({ ...at, kind: 'While', test, body: bodies[0] ?? [], orelse: bodies[1] ?? [] })];
      }
      case 'WithStatement':
        return this.#with(node, parts);
      case 'TryStatement':
        return this.#try(node, parts);
      case 'MatchStatement':
        return this.#match(node, parts);
      case 'DecoratedStatement': {
        const decorators = parts
          .filter(({ name }) => name === 'Decorator')
          .flatMap((decorator) => all(decorator, this.#expressions));
        const definition = parts.find(({ name }) => /Definition$/.test(name));
        return (definition ? this.#statement(definition) : []).map((made) => ({ ...made, decorators }) as Node);
      }
      case 'FunctionDefinition': {
        const name = this.#textOf(parts.find((part) => part.name === 'VariableName'));
        const parameters = parts.find((part) => part.name === 'ParamList');
        const args = parameters ? this.#expressions.parameters(parameters) : [];
        const returns = parts.filter((part) => part.name === 'TypeDef').flatMap((part) => all(part, this.#expressions));
        return [
          this.#ended({
            ...at,
            kind: 'FunctionDef',
            name,
            args: [...args, ...returns],
            decorators: [],
            body: this.#bodies(parts)[0] ?? [],
          }),
        ];
      }
      case 'ClassDefinition': {
        const name = this.#textOf(parts.find((part) => part.name === 'VariableName'));
        const bases = parts.find((part) => part.name === 'ArgList');
        const { args, keywords } = bases ? this.#expressions.arguments(bases) : { args: [], keywords: [] };
        return [
          this.#ended({
            ...at,
            kind: 'ClassDef',
            name,
            bases: [...args, ...keywords],
            decorators: [],
            body: this.#bodies(parts)[0] ?? [],
          }),
        ];
      }
      default:
        return this.#simple(node, parts);
    }
  }

  #simple(node: SyntaxNode, parts: SyntaxNode[]): Node[] {
    const at = this.#lines.placeOf(node.from, node.to);
    switch (node.name) {
      case 'ReturnStatement':
      case 'RaiseStatement':
        return [
          { ...at, kind: node.name === 'ReturnStatement' ? 'Return' : 'Raise', parts: all(node, this.#expressions) },
        ];
      case 'YieldStatement':
        return [{ ...at, kind: 'Expr', value: { ...at, kind: 'Other', parts: all(node, this.#expressions) } }];
      case 'BreakStatement':
        return [{ ...at, kind: 'Break', parts: [] }];
      case 'ContinueStatement':
        return [{ ...at, kind: 'Continue', parts: [] }];
      case 'ImportStatement':
        return [{ ...at, kind: 'Import', ...this.#imported(parts) }];
      case 'ScopeStatement': {
        const names = parts.filter(({ name }) => name === 'VariableName').map((part) => this.#textOf(part));
        return [{ ...at, kind: parts[0]?.name === 'global' ? 'Global' : 'Nonlocal', names }];
      }
      case 'DeleteStatement':
        return [{ ...at, kind: 'Delete', parts: all(node, this.#expressions).map((part) => target(part, 'Del')) }];
      case 'AssertStatement':
        return [{ ...at, kind: 'Assert', parts: all(node, this.#expressions) }];
      case 'PassStatement':
        return [{ ...at, kind: 'Pass', parts: [] }];
      default:
        return [];
    }
  }

  #assign(node: SyntaxNode, parts: SyntaxNode[]): Node[] {
    const at = this.#lines.placeOf(node.from, node.to);
    const type = parts.find(({ name }) => name === 'TypeDef');
    const sides = split(
      parts.filter((part) => part !== type),
      'AssignOp',
    ).map((side) => this.#expressions.list(side, node));
    const known = sides.filter((side) => side !== null);
    if (type) {
      const annotation = childList(type)
        .map((part) => this.#expressions.one(part))
        .find((part) => part !== null);
      const [goal, value] = known;
      return goal && annotation
        ? [{ ...at, kind: 'AnnAssign', target: target(goal), annotation, value: value ?? null }]
        : [];
    }
    const value = known.pop();
    return value && known.length > 0
      ? [{ ...at, kind: 'Assign', targets: known.map((goal) => target(goal)), value }]
      : [];
  }

  #conditional(node: SyntaxNode, parts: SyntaxNode[]): Node[] {
    // `elif` is an `if` in the `else` of the one before it.
    const at = parts.findIndex(({ name }, index) => index > 0 && (name === 'elif' || name === 'else'));
    const own = at < 0 ? parts : parts.slice(0, at);
    const test = this.#expressions.one(own.find(({ name }) => name !== 'if' && name !== 'elif' && name !== 'Body'));
    if (!test) return [];
    const rest = at < 0 ? [] : parts.slice(at);
    const orelse =
      rest.length === 0
        ? []
        : rest[0]!.name === 'else'
          ? (this.#bodies(rest)[0] ?? [])
          : this.#conditional(rest[0]!, rest);
    const from = parts[0]!.from;
    return [
      this.#ended({
        ...this.#lines.placeOf(from, node.to),
        kind: 'If',
        test,
        body: this.#bodies(own)[0] ?? [],
        orelse,
      }),
    ];
  }

  #forLoop(node: SyntaxNode, parts: SyntaxNode[]): Node[] {
    const first = parts.findIndex(({ name }) => name === 'for');
    const middle = parts.findIndex(({ name }) => name === 'in');
    const last = parts.findIndex(({ name }) => name === 'Body');
    const goal = this.#expressions.list(parts.slice(first + 1, middle), node);
    const iter = this.#expressions.list(parts.slice(middle + 1, last < 0 ? undefined : last), node);
    if (middle < 0 || !goal || !iter) return [];
    const bodies = this.#bodies(parts);
    const at = this.#lines.placeOf(node.from, node.to);
    return [
      this.#ended({ ...at, kind: 'For', target: target(goal), iter, body: bodies[0] ?? [], orelse: bodies[1] ?? [] }),
    ];
  }

  #with(node: SyntaxNode, parts: SyntaxNode[]): Node[] {
    const last = parts.findIndex(({ name }) => name === 'Body');
    const head = parts.slice(parts.findIndex(({ name }) => name === 'with') + 1, last < 0 ? undefined : last);
    const items = split(head, ',').flatMap((item) => {
      const as = item.findIndex(({ name }) => name === 'as');
      const expression = this.#expressions.list(as < 0 ? item : item.slice(0, as), node);
      const variable = as < 0 ? null : this.#expressions.one(item[as + 1]);
      return expression ? [{ expression, variable: variable && target(variable) }] : [];
    });
    return [
      this.#ended({
        ...this.#lines.placeOf(node.from, node.to),
        kind: 'With',
        items,
        body: this.#bodies(parts)[0] ?? [],
      }),
    ];
  }

  #try(node: SyntaxNode, parts: SyntaxNode[]): Node[] {
    const at = this.#lines.placeOf(node.from, node.to);
    const made = {
      ...at,
      kind: 'Try' as const,
      body: [] as Node[],
      handlers: [] as Handler[],
      orelse: [] as Node[],
      finalbody: [] as Node[],
    };
    const sections = new Set(['try', 'except', 'else', 'finally']);
    let section: SyntaxNode[] = [];
    const take = () => {
      const [word] = section;
      const body = this.#bodies(section)[0] ?? [];
      if (word?.name === 'try') made.body = body;
      else if (word?.name === 'else') made.orelse = body;
      else if (word?.name === 'finally') made.finalbody = body;
      else if (word?.name === 'except') {
        const as = section.findIndex(({ name }) => name === 'as');
        const type = this.#expressions.one(
          section[1]?.name === 'Body' ? undefined : section.slice(1).find(({ name }) => name !== '*'),
        );
        const name = as < 0 ? null : this.#textOf(section[as + 1]);
        made.handlers.push(
          this.#ended({
            ...this.#lines.placeOf(word.from, section.at(-1)!.to),
            kind: 'ExceptHandler',
            type,
            name,
            body,
          }),
        );
      }
    };
    for (const part of parts) {
      if (sections.has(part.name)) {
        take();
        section = [];
      }
      section.push(part);
    }
    take();
    return [this.#ended(made)];
  }

  #match(node: SyntaxNode, parts: SyntaxNode[]): Node[] {
    const body = parts.find(({ name }) => name === 'MatchBody');
    const subject = this.#expressions.list(
      parts.filter(({ name }) => name !== 'match' && name !== 'MatchBody'),
      node,
    );
    if (!subject) return [];
    const cases = childList(body).flatMap((clause): Case[] => {
      if (clause.name !== 'MatchClause') return [];
      const own = childList(clause);
      const guard = own.find(({ name }) => name === 'Guard');
      const names: string[] = [];
      clause.cursor().iterate(({ name, node: inside }) => {
        if (name === 'Body' || name === 'Guard') return false;
        if (name === 'CapturePattern' || name === 'AsPattern') {
          const captured = inside.getChildren('VariableName').at(-1);
          if (captured) names.push(this.#textOf(captured));
        }
        return true;
      });
      const test = guard ? (all(guard, this.#expressions)[0] ?? null) : null;
      return [
        this.#ended({
          ...this.#lines.placeOf(clause.from, clause.to),
          kind: 'match_case',
          names,
          guard: test,
          body: this.#bodies(own)[0] ?? [],
        }),
      ];
    });
    return [this.#ended({ ...this.#lines.placeOf(node.from, node.to), kind: 'Match', subject, cases })];
  }

  #imported(parts: SyntaxNode[]): { module: string | null; names: { name: string; as: string | null }[] } {
    const from = parts[0]?.name === 'from';
    const start = parts.findIndex(({ name }) => name === 'import');
    const module = from
      ? parts
          .slice(1, start)
          .map((part) => this.#textOf(part))
          .join('')
      : null;
    const names = split(
      parts.slice(start + 1).filter(({ name }) => name !== '(' && name !== ')'),
      ',',
    ).flatMap((words) => {
      const as = words.findIndex(({ name }) => name === 'as');
      const name = (as < 0 ? words : words.slice(0, as)).map((word) => this.#textOf(word)).join('');
      return name ? [{ name, as: as < 0 ? null : this.#textOf(words[as + 1]) }] : [];
    });
    return { module, names };
  }

  #bodies(parts: readonly SyntaxNode[]): Node[][] {
    return parts.filter(({ name }) => name === 'Body').map((body) => this.statements(body));
  }

  /** Sets a compound statement's end to that of its last part: the grammar counts the blank lines behind it in. */
  #ended<N extends Node>(node: N): N {
    const blocks = ['body', 'handlers', 'cases', 'orelse', 'finalbody'].flatMap(
      (name) => ((node as never)[name] as Node[] | undefined) ?? [],
    );
    let { endLine, to } = node;
    const last = blocks.reduce<Node | null>((found, one) => (found && found.to >= one.to ? found : one), null);
    if (last) ({ endLine, to } = last);
    return { ...node, endLine, to };
  }

  #textOf(node: SyntaxNode | undefined): string {
    return node ? this.#text.slice(node.from, node.to) : '';
  }
}

function childList(node: SyntaxNode | undefined): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node?.firstChild; child; child = child.nextSibling) if (child.name !== 'Comment') found.push(child);
  return found;
}

/** Lists the expressions in a node, with commas between them taken as separators. */
function all(node: SyntaxNode, expressions: Expressions): Node[] {
  return childList(node).flatMap((part) => expressions.list([part], node) ?? []);
}

function split(parts: readonly SyntaxNode[], separator: string): SyntaxNode[][] {
  const found: SyntaxNode[][] = [[]];
  for (const part of parts) {
    if (part.name === separator) found.push([]);
    else found.at(-1)!.push(part);
  }
  return found;
}
