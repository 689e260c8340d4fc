/**
 * Nodes of Python code, named and shaped as those of Python's own module `ast`: the rules about variables are written once for both
 * parsers, in Python and here, and read alike.
 */

interface Base {
  /** Lines count from 1, as in Python. */
  line: number;
  endLine: number;
  /** Offsets in the text. */
  from: number;
  to: number;
}

export type Context = 'Load' | 'Store' | 'Del';

export type Name = Base & { kind: 'Name'; id: string; ctx: Context };
export type Attribute = Base & { kind: 'Attribute'; value: Node; attr: string; ctx: Context };
export type Call = Base & { kind: 'Call'; func: Node; args: Node[]; keywords: Keyword[] };
export type Keyword = Base & { kind: 'keyword'; arg: string | null; value: Node };
export type Subscript = Base & { kind: 'Subscript'; value: Node; slice: Node; ctx: Context };
export type Sequence = Base & { kind: 'Tuple' | 'List'; elts: Node[] };
export type Starred = Base & { kind: 'Starred'; value: Node };
export type Constant = Base & { kind: 'Constant'; text: string };
export type BinOp = Base & { kind: 'BinOp'; left: Node; op: string; right: Node };
export type IfExp = Base & { kind: 'IfExp'; test: Node; body: Node; orelse: Node };
export type NamedExpr = Base & { kind: 'NamedExpr'; target: Name; value: Node };
export type Comprehension = Base & { kind: 'comprehension'; target: Node; iter: Node; ifs: Node[] };
export type Argument = Base & { kind: 'arg'; arg: string };
/** An expression of which only its parts matter. */
export type Other = Base & { kind: 'Other'; parts: Node[] };

export type Assign = Base & { kind: 'Assign'; targets: Node[]; value: Node };
export type AnnAssign = Base & { kind: 'AnnAssign'; target: Node; annotation: Node; value: Node | null };
export type AugAssign = Base & { kind: 'AugAssign'; target: Node; value: Node };
export type If = Base & { kind: 'If'; test: Node; body: Node[]; orelse: Node[] };
export type For = Base & { kind: 'For'; target: Node; iter: Node; body: Node[]; orelse: Node[] };
export type While = Base & { kind: 'While'; test: Node; body: Node[]; orelse: Node[] };
export type With = Base & { kind: 'With'; items: { expression: Node; variable: Node | null }[]; body: Node[] };
export type Handler = Base & { kind: 'ExceptHandler'; type: Node | null; name: string | null; body: Node[] };
export type Try = Base & { kind: 'Try'; body: Node[]; handlers: Handler[]; orelse: Node[]; finalbody: Node[] };
export type Case = Base & { kind: 'match_case'; names: string[]; guard: Node | null; body: Node[] };
export type Match = Base & { kind: 'Match'; subject: Node; cases: Case[] };
export type FunctionDef = Base & { kind: 'FunctionDef'; name: string; args: Node[]; decorators: Node[]; body: Node[] };
export type Lambda = Base & { kind: 'Lambda'; args: Node[]; body: Node };
export type ClassDef = Base & { kind: 'ClassDef'; name: string; bases: Node[]; decorators: Node[]; body: Node[] };
export type Leave = Base & { kind: 'Return' | 'Raise' | 'Break' | 'Continue'; parts: Node[] };
export type Import = Base & { kind: 'Import'; module: string | null; names: { name: string; as: string | null }[] };
export type Scoped = Base & { kind: 'Global' | 'Nonlocal'; names: string[] };
export type Expr = Base & { kind: 'Expr'; value: Node };
/** A statement of which only its parts matter: `pass`, `del`, `assert`. */
export type Simple = Base & { kind: 'Pass' | 'Delete' | 'Assert'; parts: Node[] };
export type Module = Base & { kind: 'Module'; body: Node[] };

export type Loop = For | While;
export type Node =
  | Name
  | Attribute
  | Call
  | Keyword
  | Subscript
  | Sequence
  | Starred
  | Constant
  | BinOp
  | IfExp
  | NamedExpr
  | Comprehension
  | Argument
  | Other
  | Assign
  | AnnAssign
  | AugAssign
  | If
  | For
  | While
  | With
  | Handler
  | Try
  | Case
  | Match
  | FunctionDef
  | Lambda
  | ClassDef
  | Leave
  | Import
  | Scoped
  | Expr
  | Simple
  | Module;

/** Lists a node's children, in the order of the text. */
export function childrenOf(node: Node): Node[] {
  switch (node.kind) {
    case 'Attribute':
    case 'Starred':
    case 'keyword':
    case 'Expr':
      return [node.value];
    case 'Call':
      return [node.func, ...node.args, ...node.keywords];
    case 'Subscript':
      return [node.value, node.slice];
    case 'Tuple':
    case 'List':
      return node.elts;
    case 'BinOp':
      return [node.left, node.right];
    case 'IfExp':
      return [node.body, node.test, node.orelse];
    case 'NamedExpr':
      return [node.target, node.value];
    case 'comprehension':
      return [node.target, node.iter, ...node.ifs];
    case 'Assign':
      return [...node.targets, node.value];
    case 'AnnAssign':
      return [node.target, node.annotation, ...(node.value ? [node.value] : [])];
    case 'AugAssign':
      return [node.target, node.value];
    case 'If':
    case 'While':
      return [node.test, ...node.body, ...node.orelse];
    case 'For':
      return [node.target, node.iter, ...node.body, ...node.orelse];
    case 'With':
      return [
        ...node.items.flatMap(({ expression, variable }) => (variable ? [expression, variable] : [expression])),
        ...node.body,
      ];
    case 'ExceptHandler':
      return [...(node.type ? [node.type] : []), ...node.body];
    case 'Try':
      return [...node.body, ...node.handlers, ...node.orelse, ...node.finalbody];
    case 'match_case':
      return [...(node.guard ? [node.guard] : []), ...node.body];
    case 'Match':
      return [node.subject, ...node.cases];
    case 'FunctionDef':
      return [...node.args, ...node.body, ...node.decorators];
    case 'Lambda':
      return [...node.args, node.body];
    case 'ClassDef':
      return [...node.bases, ...node.body, ...node.decorators];
    case 'Module':
      return node.body;
    case 'Other':
    case 'Return':
    case 'Raise':
    case 'Break':
    case 'Continue':
    case 'Pass':
    case 'Delete':
    case 'Assert':
      return node.parts;
    default:
      return [];
  }
}

/** Walks a node and all below it. */
export function* walk(node: Node): Generator<Node> {
  const pending: Node[] = [node];
  for (let current = pending.pop(); current; current = pending.pop()) {
    yield current;
    const children = childrenOf(current);
    for (let at = children.length - 1; at >= 0; at--) pending.push(children[at]!);
  }
}

const STATEMENTS = new Set<Node['kind']>([
  'Assign',
  'AnnAssign',
  'AugAssign',
  'If',
  'For',
  'While',
  'With',
  'Try',
  'Match',
  'FunctionDef',
  'ClassDef',
  'Return',
  'Raise',
  'Break',
  'Continue',
  'Import',
  'Global',
  'Nonlocal',
  'Expr',
  'Pass',
  'Delete',
  'Assert',
]);

export function isStatement(node: Node): boolean {
  return STATEMENTS.has(node.kind);
}

export function isLoop(node: Node): node is Loop {
  return node.kind === 'For' || node.kind === 'While';
}
