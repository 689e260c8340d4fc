/** Makes expressions of Lezer's tree. */
import type { SyntaxNode } from '@lezer/common';
import type { Lines } from './lines.ts';
import type { Comprehension, Context, Keyword, Name, Node } from './nodes.ts';

/** Parts of expressions that are no expressions. */
const PUNCTUATION = /^[^A-Za-z]*$/;
const WORDS = new Set(
  'if else for in is not and or lambda async await yield from as import del return raise assert CompareOp ArithOp BitOp AssignOp FormatConversion At'.split(
    ' ',
  ),
);

export class Expressions {
  readonly #text: string;
  readonly #lines: Lines;

  constructor(text: string, lines: Lines) {
    this.#text = text;
    this.#lines = lines;
  }

  /** Makes one expression; null for what is none. */
  one(node: SyntaxNode | undefined): Node | null {
    if (!node || node.type.isError || WORDS.has(node.name) || PUNCTUATION.test(node.name)) return null;
    const at = this.#place(node);
    const parts = childList(node);
    switch (node.name) {
      case 'VariableName':
        return { ...at, kind: 'Name', id: this.#textOf(node), ctx: 'Load' };
      case 'ParenthesizedExpression':
        return parts.map((part) => this.one(part)).find((part) => part !== null) ?? { ...at, kind: 'Other', parts: [] };
      case 'MemberExpression':
        return this.#member(node, parts);
      case 'CallExpression': {
        const func = this.one(parts[0]);
        const list_ = parts.find(({ name }) => name === 'ArgList');
        if (!func) return null;
        return { ...at, kind: 'Call', func, ...(list_ ? this.arguments(list_) : { args: [], keywords: [] }) };
      }
      case 'TupleExpression':
      case 'ArrayExpression':
        return { ...at, kind: node.name === 'TupleExpression' ? 'Tuple' : 'List', elts: this.#items(parts) };
      case 'Number':
      case 'String':
      case 'Boolean':
      case 'None':
      case 'Ellipsis':
        return { ...at, kind: 'Constant', text: this.#textOf(node) };
      case 'BinaryExpression':
        return this.#binary(node, parts);
      case 'ConditionalExpression': {
        const [body, test, orelse] = parts.flatMap((part) => this.one(part) ?? []);
        return body && test && orelse ? { ...at, kind: 'IfExp', body, test, orelse } : null;
      }
      case 'NamedExpression': {
        const [goal, , value] = parts.map((part) => this.one(part));
        const name = goal ?? this.one(parts[0]);
        const given = value ?? this.one(parts.at(-1));
        return name?.kind === 'Name' && given
          ? { ...at, kind: 'NamedExpr', target: { ...name, ctx: 'Store' }, value: given }
          : null;
      }
      case 'LambdaExpression': {
        const body = this.one(parts.at(-1));
        const list_ = parts.find(({ name }) => name === 'ParamList');
        return body ? { ...at, kind: 'Lambda', args: list_ ? this.parameters(list_) : [], body } : null;
      }
      case 'ComprehensionExpression':
      case 'ArrayComprehensionExpression':
      case 'SetComprehensionExpression':
      case 'DictionaryComprehensionExpression':
        return { ...at, kind: 'Other', parts: this.#comprehension(parts) };
      default:
        return { ...at, kind: 'Other', parts: parts.flatMap((part) => this.one(part) ?? []) };
    }
  }

  #member(node: SyntaxNode, parts: SyntaxNode[]): Node | null {
    const at = this.#place(node);
    const value = this.one(parts[0]);
    if (!value) return null;
    const property = parts.find(({ name }) => name === 'PropertyName');
    if (property) return { ...at, kind: 'Attribute', value, attr: this.#textOf(property), ctx: 'Load' };
    const inside = parts.slice(2).filter(({ name }) => name !== ']');
    // A slice, or several indices: what matters is what they read.
    const isPlain = inside.length === 1;
    const slice = (isPlain ? this.one(inside[0]) : null) ?? {
      ...this.#lines.placeOf(inside[0]?.from ?? node.to, inside.at(-1)?.to ?? node.to),
      kind: 'Other' as const,
      parts: inside.flatMap((part) => this.one(part) ?? []),
    };
    return { ...at, kind: 'Subscript', value, slice, ctx: 'Load' };
  }

  #binary(node: SyntaxNode, parts: SyntaxNode[]): Node | null {
    const at = this.#place(node);
    const [left, right] = [this.one(parts[0]), this.one(parts.at(-1))];
    if (!left || !right) return left ?? right;
    const isArithmetic = parts[1]?.name === 'ArithOp' || parts[1]?.name === 'BitOp';
    return isArithmetic
      ? { ...at, kind: 'BinOp', left, op: this.#textOf(parts[1]!), right }
      : { ...at, kind: 'Other', parts: [left, right] };
  }

  /** Makes the items of a list, with `*` before some of them. */
  #items(parts: readonly SyntaxNode[]): Node[] {
    return parts.flatMap((part, index): Node[] => {
      const value = this.one(part);
      if (!value) return [];
      const star = parts[index - 1];
      return [
        star?.name === '*' ? { ...this.#place({ from: star.from, to: part.to }), kind: 'Starred', value } : value,
      ];
    });
  }

  /** Makes one expression of several parts: with a comma among them it is a tuple without parentheses. */
  list(parts: readonly SyntaxNode[], within: SyntaxNode): Node | null {
    if (!parts.some(({ name }) => name === ',')) return this.#items(parts)[0] ?? null;
    const elts = this.#items(parts);
    const [first, last] = [parts[0] ?? within, parts.at(-1) ?? within];
    return { ...this.#place({ from: first.from, to: last.to }), kind: 'Tuple', elts };
  }

  arguments(node: SyntaxNode): { args: Node[]; keywords: Keyword[] } {
    const parts = childList(node).filter(({ name }) => name !== '(' && name !== ')');
    if (parts.some(({ name }) => name === 'for')) {
      const inner = this.#comprehension(parts);
      return { args: [{ ...this.#place(node), kind: 'Other', parts: inner }], keywords: [] };
    }
    const args: Node[] = [];
    const keywords: Keyword[] = [];
    for (const words of split(parts)) {
      const [first] = words;
      if (!first) continue;
      const value = this.one(words.at(-1));
      if (!value) continue;
      const at = this.#place({ from: first.from, to: words.at(-1)!.to });
      if (words.some(({ name }) => name === 'AssignOp'))
        keywords.push({ ...at, kind: 'keyword', arg: this.#textOf(first), value });
      else if (first.name === '**') keywords.push({ ...at, kind: 'keyword', arg: null, value });
      else args.push(first.name === '*' ? { ...at, kind: 'Starred', value } : value);
    }
    return { args, keywords };
  }

  /** Makes the parts of a comprehension: what it gives, and each `for` with its conditions. */
  #comprehension(parts: readonly SyntaxNode[]): Node[] {
    const found: Node[] = [];
    let index = 0;
    while (index < parts.length && parts[index]!.name !== 'for')
      found.push(...(this.one(parts[index++]) ? [this.one(parts[index - 1])!] : []));
    while (index < parts.length) {
      const start = parts[index]!;
      const middle = nextOf(parts, index, 'in');
      const end = nextOf(parts, middle + 1, 'for', 'if', ']', ')', '}');
      const goal = this.list(parts.slice(index + 1, middle), start);
      const iter = this.list(parts.slice(middle + 1, end), start);
      const ifs: Node[] = [];
      index = end;
      while (parts[index]?.name === 'if') {
        const stop = nextOf(parts, index + 1, 'for', 'if', ']', ')', '}');
        const condition = this.list(parts.slice(index + 1, stop), start);
        if (condition) ifs.push(condition);
        index = stop;
      }
      if (goal && iter) {
        const made: Comprehension = { ...this.#place(start), kind: 'comprehension', target: target(goal), iter, ifs };
        found.push(made);
      }
      if (parts[index]?.name !== 'for') break;
    }
    return found;
  }

  parameters(node: SyntaxNode): Node[] {
    return split(childList(node).filter(({ name }) => name !== '(' && name !== ')')).flatMap((words): Node[] => {
      const name = words.find((word) => word.name === 'VariableName');
      if (!name) return [];
      const types = words
        .filter((word) => word.name === 'TypeDef')
        .flatMap((type) => childList(type).flatMap((part) => this.one(part) ?? []));
      const given = words.findIndex((word) => word.name === 'AssignOp');
      const value = given < 0 ? null : this.one(words[given + 1]);
      return [{ ...this.#place(name), kind: 'arg', arg: this.#textOf(name) }, ...types, ...(value ? [value] : [])];
    });
  }

  #place(node: { from: number; to: number }) {
    return this.#lines.placeOf(node.from, node.to);
  }

  #textOf(node: SyntaxNode): string {
    return this.#text.slice(node.from, node.to);
  }
}

/** Marks an expression as one that is bound: its names and attributes, but not what leads to them. */
export function target(node: Node, ctx: Context = 'Store'): Node {
  switch (node.kind) {
    case 'Name':
      return { ...node, ctx } as Name;
    case 'Attribute':
    case 'Subscript':
      return { ...node, ctx };
    case 'Tuple':
    case 'List':
      return { ...node, elts: node.elts.map((item) => target(item, ctx)) };
    case 'Starred':
      return { ...node, value: target(node.value, ctx) };
    default:
      return node;
  }
}

function childList(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling) if (child.name !== 'Comment') found.push(child);
  return found;
}

function split(parts: readonly SyntaxNode[]): SyntaxNode[][] {
  const found: SyntaxNode[][] = [[]];
  for (const part of parts) {
    if (part.name === ',') found.push([]);
    else found.at(-1)!.push(part);
  }
  return found;
}

function nextOf(parts: readonly SyntaxNode[], from: number, ...names: string[]): number {
  const at = parts.findIndex(({ name }, index) => index >= from && names.includes(name));
  return at < 0 ? parts.length : at;
}
