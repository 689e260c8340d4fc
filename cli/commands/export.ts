/** Exports a checkpoint or a run's metrics to formats that other tools read. */
import { isAbsolute, resolve } from 'node:path';
import { isError } from '../../protocol/errors.ts';
import type { ExportFormat, ExportResult } from '../../protocol/export.ts';
import { exportFormats, exportWrite } from '../../protocol/messages/export.ts';
import { bytes, counted, metric } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { TRUST_OPTION } from '../context.ts';
import { paint, safe, table } from '../format.ts';
import { requestTask } from '../task.ts';
import { field } from '../views.ts';

export const exportCommands: Record<string, Command> = {
  export: {
    summary: 'export a checkpoint or metrics: onnx, safetensors, npz, csv, …',
    usage: 'CHECKPOINT|RUN [--format F] [--to FILE] [--full] [--strip PREFIX] [--force] [--trust]',
    options: {
      format: { type: 'string' },
      to: { type: 'string' },
      full: { type: 'boolean' },
      strip: { type: 'string' },
      force: { type: 'boolean' },
      ...TRUST_OPTION,
    },
    words: [1, 1],
    async run(context) {
      const { args, root } = context;
      const source = args.words[0]!;
      const client = await context.project();
      const { formats } = await client.request(exportFormats, { root, source });
      const wanted = args.text('format') ?? formatOf(args.text('to'));
      if (wanted === null) {
        context.answer({ formats }, formatLines(formats, context.width));
        return 0;
      }
      const name = formats.find(({ format }) => format === wanted)?.name ?? wanted;
      const out = args.text('to') ?? name;
      await context.project('write');
      const write = () => requestTask(client, exportWrite, request, `Exporting ${wanted}`);
      const request = {
        root,
        source,
        format: wanted,
        path: isAbsolute(out) ? out : resolve(root, out),
        full: args.flag('full'),
        strip: args.text('strip'),
        force: args.flag('force'),
        environment: context.environment(),
      };
      const result = await write().catch(async (error: unknown) => {
        if (!isError(error, 'untrusted')) throw error;
        // Only now is it known that this format needs code of the project.
        await context.project('run');
        return write();
      });
      context.answer(result, resultLines(result));
      return 0;
    },
  },
};

const BY_ENDING: Readonly<Record<string, string>> = {
  safetensors: 'safetensors',
  pt: 'state_dict',
  pth: 'state_dict',
  npz: 'npz',
  pdparams: 'pdparams',
  onnx: 'onnx',
  csv: 'csv',
  json: 'json',
};

/** Derives the format from the ending of the output; null: no output was given, and the formats are listed. */
function formatOf(out: string | undefined): string | null {
  if (out === undefined) return null;
  const ending = /\.(\w+)$/.exec(out)?.[1]?.toLowerCase() ?? '';
  const format = BY_ENDING[ending];
  if (format) return format;
  throw new UsageError(`The format is not clear from the name "${out}": add --format FORMAT.`);
}

function formatLines(formats: readonly ExportFormat[], width: number): string[] {
  const can = formats.filter(({ unavailable }) => unavailable === null);
  const cannot = formats.filter(({ unavailable }) => unavailable !== null);
  return [
    ...table(
      can,
      [
        { title: 'FORMAT', cell: ({ format }) => format },
        { title: 'WHAT', cell: ({ description }) => description, flexible: true },
      ],
      width,
    ),
    ...(cannot.length > 0 ? [''] : []),
    ...cannot.map(({ format, unavailable }) => paint('dim', `${format}: ${unavailable}`)),
    '',
    'Choose one with --format FORMAT [--to FILE]; --full includes the optimizer’s tensors.',
  ];
}

function resultLines({ path, files, manifest, parity, notes }: ExportResult): string[] {
  const size = files.reduce((sum, file) => sum + file.bytes, 0);
  const many = files.length > 1 ? ` in ${files.length} files` : '';
  return [
    `${paint('green', '✔')} ${safe(path)}  ${bytes(size)}${many}`,
    ...(parity
      ? [
          field(
            'parity',
            parity.largestDifference === null
              ? `not checked: ${safe(parity.why)}`
              : `largest difference ${metric(parity.largestDifference)} over ${counted(parity.samples, 'sample')} (${safe(parity.runtime)})`,
          ),
        ]
      : []),
    ...notes.map((note) => field('note', safe(note))),
    field('manifest', safe(manifest)),
  ];
}
