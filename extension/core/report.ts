/** Makes reports about runs. Its code is loaded with the first one. */
import type { Connection } from '../../pages/connection.ts';

export async function makeReport(connection: Connection, root: string, runs: readonly string[]): Promise<string> {
  const { reportOf } = await import('../../client/report/report.ts');
  return reportOf(connection, root, runs);
}
