/** Comments that silence diagnostics: `# trainstash: ignore` or `# trainstash: ignore[code, …]`, on the line or alone above it. */
import type { Finding, Fix } from '../codes.ts';
import type { Script } from './script.ts';

const COMMENT = /#\s*trainstash:\s*ignore(?:\[([^\]]*)\])?/;

/** Drops findings that a comment silences, and gives the others a fix that writes one. */
export function withoutSilenced(script: Script, findings: readonly Finding[]): Finding[] {
  const lines = script.text.split('\n');
  return findings.flatMap((finding) => {
    const { line } = finding.range.start;
    const above = lines[line - 1] ?? '';
    const silent =
      isSilenced(lines[line] ?? '', finding) || (above.trim().startsWith('#') && isSilenced(above, finding));
    return silent ? [] : [{ ...finding, fixes: [...(finding.fixes ?? []), silencing(lines[line] ?? '', finding)] }];
  });
}

function isSilenced(line: string, { code }: Finding): boolean {
  const found = COMMENT.exec(line);
  if (!found) return false;
  return found[1] === undefined || found[1].split(',').some((one) => one.trim() === code);
}

function silencing(text: string, { code, range: { start } }: Finding): Fix {
  const end = { line: start.line, character: text.trimEnd().length };
  return {
    title: `Silence ${code} here`,
    edits: [{ range: { start: end, end }, newText: `  # trainstash: ignore[${code}]` }],
  };
}
