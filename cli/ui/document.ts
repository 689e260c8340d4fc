/** Documents of `trainstash ui`, and which page an address names. */

/** Page of an address. */
export type ShownPage = { script: 'dashboard' } | { script: 'run'; run: string } | { script: 'diff'; sides: string[] };

const ID = /^[\w-]{1,100}$/;
const MOST_SIDES = 8;

export function pageOf({ pathname, searchParams }: URL): ShownPage | null {
  if (pathname === '/') return { script: 'dashboard' };
  const run = /^\/run\/(.+)$/.exec(pathname)?.[1];
  if (run && ID.test(run)) return { script: 'run', run };
  if (pathname !== '/diff') return null;
  const sides = (searchParams.get('sides') ?? '').split(',').slice(0, MOST_SIDES);
  return sides.length > 1 && sides.every((side) => ID.test(side)) ? { script: 'diff', sides } : null;
}

/** Actions that need an editor: pages do not offer them. */
const WITHOUT = 'export log restoreCode restoreFiles openFile openAll compareBest';

export function documentOf(script: string): string {
  return html(`<nav class="heading"><a href="/">All runs</a></nav>
<p id="gone" role="alert" hidden>trainstash ui has ended, or cannot be reached. Start it again, and open the link that it prints. Trainings go on.</p>
<div id="page"></div>
<script src="/assets/shell.js"></script>
<script src="/assets/${script}.js"></script>`);
}

export const ENTER_PAGE = html('<p id="page">Opening…</p>\n<script src="/assets/enter.js"></script>');

function html(body: string): string {
  return `<!DOCTYPE html>
<html lang="en" data-without="${WITHOUT}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trainstash</title>
<link rel="stylesheet" href="/assets/browser.css">
<link rel="stylesheet" href="/assets/style.css">
</head>
<body>
${body}
</body>
</html>
`;
}
