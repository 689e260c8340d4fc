/**
 * Finds credentials for S3 where AWS's own tools find them: environment, profiles, a program, the metadata of a container or an instance.
 * They stay in memory, and are in no record, log or message.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as v from 'valibot';
import { send } from './s3-http.ts';

/** Time before their end at which credentials are renewed. */
const RENEW_BEFORE_MS = 5 * 60_000;
const PROGRAM_MS = 60_000;
const METADATA_MS = 2_000;
const MAX_ANSWER_BYTES = 64 << 10;

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string | undefined;
  /** Time at which they end; null: never. */
  expiresAt: number | null;
}

export type Variables = Readonly<Record<string, string | undefined>>;

/** Error without any secret in it: the reason why there are no credentials. */
export class NoCredentials extends Error {}

const answerSchema = v.object({
  AccessKeyId: v.string(),
  SecretAccessKey: v.string(),
  SessionToken: v.optional(v.string()),
  Token: v.optional(v.string()),
  Expiration: v.optional(v.string()),
});

/** Credentials of one remote, renewed when they end. */
export class CredentialSource {
  readonly #variables: () => Variables;
  readonly #profile: string | undefined;
  #known: { credentials: Promise<Credentials>; of: Variables } | null = null;

  /** `variables` are those of whoever uses the remote now; they may change. */
  constructor(variables: () => Variables, profile: string | undefined) {
    this.#variables = variables;
    this.#profile = profile;
  }

  async get(): Promise<Credentials> {
    const of = this.#variables();
    if (this.#known?.of === of) {
      const credentials = await this.#known.credentials;
      if (credentials.expiresAt === null || credentials.expiresAt - RENEW_BEFORE_MS > Date.now()) return credentials;
    }
    const credentials = find(of, this.#profile);
    this.#known = { credentials, of };
    credentials.catch(() => this.forget());
    return credentials;
  }

  /** Makes the next use look again. */
  forget(): void {
    this.#known = null;
  }
}

async function find(variables: Variables, profile: string | undefined): Promise<Credentials> {
  // A profile that was named for the remote goes before variables that are meant for something else.
  const fromVariables = profile === undefined ? ofVariables(variables) : null;
  return (
    fromVariables ??
    (await ofProfile(variables, profile ?? variables.AWS_PROFILE)) ??
    (await ofContainer(variables)) ??
    (await ofInstance(variables)) ??
    missing(profile)
  );
}

function missing(profile: string | undefined): never {
  throw new NoCredentials(
    profile === undefined
      ? 'no credentials were found: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, nor a profile in ~/.aws, nor instance metadata'
      : `the profile "${profile}" in ~/.aws has no credentials`,
  );
}

function ofVariables({ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN }: Variables): Credentials | null {
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) return null;
  const [accessKeyId, secretAccessKey] = [AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY];
  return { accessKeyId, secretAccessKey, sessionToken: AWS_SESSION_TOKEN || undefined, expiresAt: null };
}

/** Reads a profile's settings from both of AWS's files; those of the credentials file go first. */
export function profileSettings(variables: Variables, name = 'default'): Record<string, string> {
  const folder = join(variables.HOME ?? homedir(), '.aws');
  const config = sectionOf(
    variables.AWS_CONFIG_FILE ?? join(folder, 'config'),
    name === 'default' ? name : `profile ${name}`,
  );
  const secret = sectionOf(variables.AWS_SHARED_CREDENTIALS_FILE ?? join(folder, 'credentials'), name);
  return { ...config, ...secret };
}

function sectionOf(path: string, wanted: string): Record<string, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return {};
  }
  const settings: Record<string, string> = {};
  let isWanted = false;
  for (const line of text.split(/\r?\n/)) {
    const section = /^\s*\[\s*(.+?)\s*\]\s*$/.exec(line)?.[1];
    if (section !== undefined) isWanted = section.replaceAll(/\s+/g, ' ') === wanted;
    const [, key, setting] = /^\s*([\w-]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (isWanted && key && !/^\s*[#;]/.test(line)) settings[key.toLowerCase()] = setting ?? '';
  }
  return settings;
}

async function ofProfile(variables: Variables, name: string | undefined): Promise<Credentials | null> {
  const settings = profileSettings(variables, name);
  const { aws_access_key_id: accessKeyId, aws_secret_access_key: secretAccessKey, aws_session_token: token } = settings;
  if (accessKeyId && secretAccessKey)
    return { accessKeyId, secretAccessKey, sessionToken: token || undefined, expiresAt: null };
  if (settings.credential_process) return ofProgram(settings.credential_process, variables);
  if (settings.sso_session || settings.sso_start_url || settings.role_arn)
    throw new NoCredentials(
      `the profile "${name ?? 'default'}" uses single sign-on or a role, which needs AWS's own tool: set credential_process = aws configure export-credentials --profile ${name ?? 'default'} in another profile, and name that`,
    );
  return null;
}

/** Runs the program that a profile names. The user has configured it for all of AWS's tools. */
async function ofProgram(command: string, variables: Variables): Promise<Credentials> {
  const [program, ...args] = wordsOf(command);
  let output: string;
  try {
    const env = { ...process.env, ...variables };
    ({ stdout: output } = await promisify(execFile)(program!, args, {
      timeout: PROGRAM_MS,
      maxBuffer: MAX_ANSWER_BYTES,
      env,
    }));
  } catch (error) {
    // Its output may contain secrets: only the way it ended is told.
    const { code, signal } = error as { code?: string | number; signal?: string };
    throw new NoCredentials(`credential_process (${program}) has failed (${signal ?? code ?? 'unknown'})`);
  }
  const parsed = v.safeParse(answerSchema, parse(output));
  if (!parsed.success) throw new NoCredentials(`credential_process (${program}) has printed no credentials`);
  return fromAnswer(parsed.output);
}

/** Splits a command at blanks; quotes keep words together, as in AWS's own tools. No shell is involved. */
function wordsOf(command: string): string[] {
  return [...command.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, plain]) => double?.replaceAll(/\\(.)/g, '$1') ?? single ?? plain!,
  );
}

async function ofContainer(variables: Variables): Promise<Credentials | null> {
  const relative = variables.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI;
  const url = relative ? `http://169.254.170.2${relative}` : variables.AWS_CONTAINER_CREDENTIALS_FULL_URI;
  if (!url) return null;
  const file = variables.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE;
  const token = file ? readFileSync(file, 'utf8').trim() : variables.AWS_CONTAINER_AUTHORIZATION_TOKEN;
  return metadata(url, token ? { authorization: token } : {});
}

/** Asks the metadata service of an instance, in its second version. */
async function ofInstance(variables: Variables): Promise<Credentials | null> {
  if (variables.AWS_EC2_METADATA_DISABLED === 'true') return null;
  const base = (variables.AWS_EC2_METADATA_SERVICE_ENDPOINT ?? 'http://169.254.169.254').replace(/\/$/, '');
  const ttl = { 'x-aws-ec2-metadata-token-ttl-seconds': '21600' };
  const token = await ask('PUT', `${base}/latest/api/token`, ttl);
  if (token === null) return null;
  const headers = { 'x-aws-ec2-metadata-token': token };
  const roles = `${base}/latest/meta-data/iam/security-credentials/`;
  const role = (await ask('GET', roles, headers))?.split('\n')[0];
  return role ? metadata(roles + encodeURIComponent(role), headers) : null;
}

async function metadata(url: string, headers: Record<string, string>): Promise<Credentials | null> {
  const parsed = v.safeParse(answerSchema, parse((await ask('GET', url, headers)) ?? ''));
  return parsed.success ? fromAnswer(parsed.output) : null;
}

async function ask(method: string, url: string, headers: Record<string, string>): Promise<string | null> {
  try {
    const bounds = { agent: undefined, maxBytes: MAX_ANSWER_BYTES, over: 'throw' as const, silentMs: METADATA_MS };
    const { status, body } = await send({ method, url: new URL(url), headers, ...bounds });
    return status === 200 ? Buffer.from(body).toString('utf8') : null;
  } catch {
    return null;
  }
}

function fromAnswer({
  AccessKeyId,
  SecretAccessKey,
  SessionToken,
  Token,
  Expiration,
}: v.InferOutput<typeof answerSchema>): Credentials {
  const expiresAt = Expiration === undefined ? null : Date.parse(Expiration);
  return {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    sessionToken: SessionToken ?? Token,
    expiresAt: Number.isNaN(expiresAt) ? null : expiresAt,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
