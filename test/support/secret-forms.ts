/**
 * Forms of secrets on command lines, in params and in texts. Every value is composed here at run time: none belongs to anybody, and
 * none is a literal in this file.
 */
import { Generator } from './generator.ts';

export interface Form {
  /** Name of the service or the spelling. */
  name: string;
  words: string[];
  /** Texts that must not be in the result. */
  secrets: string[];
  /** Texts that must still be in it. */
  shown: string[];
}

/** Returns all forms, with other values for each seed. */
export function secretForms(seed: number): Form[] {
  const random = new Generator(seed);
  return [...options(random), ...tokens(random), ...urls(random), ...texts(random), ...programs(random)];
}

const SCRIPT = ['python', 'train.py', '--lr', '0.1'];

function form(name: string, words: string[], secrets: string[], shown: string[] = []): Form {
  return { name, words: [...SCRIPT, ...words], secrets, shown: ['train.py', '0.1', ...shown] };
}

/** Names of options, params and variables. */
const NAMES = [
  'token',
  'api-key',
  'api_key',
  'apikey',
  'apiKey',
  'API_KEY',
  'api.key',
  'secret',
  'client_secret',
  'clientSecret',
  'password',
  'passwd',
  'pwd',
  'db-password',
  'dbPassword',
  'passphrase',
  'access-key',
  'access_token',
  'accessToken',
  'auth-token',
  'authToken',
  'auth',
  'bearer',
  'credentials',
  'private_key',
  'secret-key',
  'aws_secret_access_key',
  'wandb-key',
  'wandb_api_key',
  'WANDB_API_KEY',
  'hf-key',
  'hf_token',
  'HUGGING_FACE_HUB_TOKEN',
  'openai_key',
  'OPENAI_API_KEY',
  'anthropic-key',
  'NEPTUNE_API_TOKEN',
  'clearml.api.secret_key',
  'mlflow_tracking_password',
  'MLFLOW_TRACKING_TOKEN',
  'kaggle_key',
  'github-token',
  'slack_token',
  'telegram_bot_token',
  'logger.wandb.api_key',
  'trainer.logger.neptune.token',
  'hub_token',
  'push_to_hub_token',
  'storage_account_key',
  'cookie',
  'smtp_pass',
  'redis-password',
  'sas_token',
  'encryption-key',
  'ssh_passphrase',
  'tokens_value',
  'api_key_2',
];

function options(random: Generator): Form[] {
  return NAMES.flatMap((name, i) => {
    const secret = random.mixed(12 + (i % 20));
    const dashed = form(`--${name} X`, [`--${name}`, secret, '--epochs', '3'], [secret], [name, '--epochs']);
    const assigned = form(`--${name}=X`, [`--${name}=${secret}`, '--epochs', '3'], [secret], [name, '--epochs']);
    const bare = form(`${name}=X`, [`${name}=${secret}`], [secret], [name]);
    const json = form(
      `{"${name}": X}`,
      ['--config', `{"${name}": "${secret}", "units": 64}`],
      [secret],
      ['"units": 64'],
    );
    return [dashed, assigned, [bare, json][i % 2]!];
  });
}

/** Returns tokens that are recognisable without a name. */
function tokens(random: Generator): Form[] {
  const { hex, mixed, upper, digits, base64 } = random.tools();
  const jwt = () => `${'ey'}J${mixed(20)}.${'ey'}J${mixed(30)}.${mixed(43)}`;
  const made: [string, string][] = [
    ['Hugging Face', `hf${'_'}${mixed(34)}`],
    ['Hugging Face organization', `api_${'org'}_${mixed(34)}`],
    ['OpenAI', `${'sk'}-${mixed(48)}`],
    ['OpenAI project', `${'sk'}-proj-${mixed(80)}`],
    ['OpenAI service account', `${'sk'}-svcacct-${mixed(60)}`],
    ['Anthropic', `${'sk'}-ant-api03-${mixed(80)}`],
    ['OpenRouter', `${'sk'}-or-v1-${hex(64)}`],
    ['DeepSeek', `${'sk'}-${hex(32)}`],
    ['GitHub classic', `gh${'p_'}${mixed(36)}`],
    ['GitHub OAuth', `gh${'o_'}${mixed(36)}`],
    ['GitHub server', `gh${'s_'}${mixed(36)}`],
    ['GitHub user', `gh${'u_'}${mixed(36)}`],
    ['GitHub refresh', `gh${'r_'}${mixed(36)}`],
    ['GitHub fine-grained', `github${'_pat_'}${mixed(22)}_${mixed(59)}`],
    ['GitLab', `gl${'pat-'}${mixed(20)}`],
    ['GitLab deploy', `gl${'dt-'}${mixed(20)}`],
    ['GitLab runner', `gl${'rt-'}${mixed(20)}`],
    ['AWS key', `AK${'IA'}${upper(16)}`],
    ['AWS temporary key', `AS${'IA'}${upper(16)}`],
    ['Google', `AI${'za'}${mixed(35)}`],
    ['Google OAuth', `ya${'29.'}${mixed(60)}`],
    ['Google client', `GOC${'SPX-'}${mixed(28)}`],
    ['Azure client', `${mixed(3)}8Q${'~'}${mixed(34)}`],
    ['Slack bot', `xo${'xb-'}${digits(12)}-${digits(12)}-${mixed(24)}`],
    ['Slack user', `xo${'xp-'}${digits(12)}-${mixed(24)}`],
    ['Slack app', `xa${'pp-'}1-${upper(11)}-${digits(13)}-${hex(64)}`],
    ['Weights & Biases', hex(40)],
    ['Weights & Biases on a server of one’s own', `local${'-'}${hex(40)}`],
    ['Weights & Biases, new', `wandb${'_v1_'}${mixed(60)}`],
    ['JWT', jwt()],
    ['Neptune', `${'ey'}JhcGlf${base64(120)}`],
    ['npm', `npm${'_'}${mixed(36)}`],
    ['PyPI', `pypi${'-Ag'}EI${mixed(120)}`],
    ['Stripe', `${'sk'}_live_${mixed(24)}`],
    ['Stripe restricted', `${'rk'}_live_${mixed(24)}`],
    ['Stripe webhook', `wh${'sec_'}${mixed(32)}`],
    ['Twilio', `S${'K'}${hex(32)}`],
    ['SendGrid', `S${'G.'}${mixed(22)}.${mixed(43)}`],
    ['Mailgun', `key${'-'}${hex(32)}`],
    ['Mailchimp', `${hex(32)}-us${'12'}`],
    ['Telegram', `${digits(10)}:${'AA'}${mixed(33)}`],
    ['Discord', `M${mixed(24)}.${mixed(6)}.${mixed(38)}`],
    ['DigitalOcean', `dop${'_v1_'}${hex(64)}`],
    ['Databricks', `da${'pi'}${hex(32)}`],
    ['Grafana', `gl${'sa_'}${mixed(32)}_${hex(8)}`],
    ['Shopify', `shp${'at_'}${hex(32)}`],
    ['Replicate', `r8${'_'}${mixed(37)}`],
    ['Groq', `gs${'k_'}${mixed(52)}`],
    ['Perplexity', `ppl${'x-'}${mixed(48)}`],
    ['xAI', `xa${'i-'}${mixed(80)}`],
    ['Notion', `nt${'n_'}${mixed(46)}`],
    ['Linear', `lin${'_api_'}${mixed(40)}`],
    ['Postman', `PM${'AK-'}${hex(24)}-${hex(34)}`],
    ['Vault', `hv${'s.'}${mixed(24)}`],
    ['Terraform', `${mixed(14)}.atlas${'v1.'}${mixed(67)}`],
    ['Sentry', `sntry${'u_'}${hex(64)}`],
    ['New Relic', `NR${'AK-'}${upper(27)}`],
    ['Doppler', `dp${'.pt.'}${mixed(43)}`],
    ['PlanetScale', `pscale${'_tkn_'}${mixed(43)}`],
    ['Pulumi', `pu${'l-'}${hex(40)}`],
    ['RubyGems', `rubygems${'_'}${hex(48)}`],
    ['Docker', `dckr${'_pat_'}${mixed(27)}`],
    ['Tailscale', `tskey${'-auth-'}${mixed(12)}-${mixed(24)}`],
    ['Pinecone', `pc${'sk_'}${mixed(60)}`],
    ['LangSmith', `lsv2${'_pt_'}${hex(32)}_${hex(10)}`],
    ['NVIDIA', `nv${'api-'}${mixed(64)}`],
    ['Cerebras', `cs${'k-'}${mixed(48)}`],
    ['Tavily', `tv${'ly-'}${mixed(32)}`],
    ['Figma', `fig${'d_'}${mixed(40)}`],
    ['Airtable', `pat${mixed(14)}.${hex(64)}`],
    ['age', `AGE-SECRET-${'KEY-1'}${upper(58)}`],
    ['Atlassian', `ATA${'TT3'}${mixed(100)}`],
    ['Supabase', `sb${'p_'}${hex(40)}`],
    ['Langfuse', `${'sk'}-lf-${hex(8)}-${hex(4)}-${hex(4)}-${hex(4)}-${hex(12)}`],
    ['Firebase messaging', `AA${'AA'}${mixed(7)}:${mixed(140)}`],
  ];
  return made.flatMap(([name, secret], i) => [
    form(name, [secret, '--epochs', '3'], [secret], ['--epochs']),
    form(`${name} in a text`, i % 2 ? [`--note=the key is ${secret} since May`] : ['--note', `"${secret}"`], [secret]),
  ]);
}

function urls(random: Generator): Form[] {
  const { mixed, hex, digits } = random.tools();
  const secret = mixed(14);
  const odd = `${mixed(5)}/${mixed(6)}`;
  const one = (name: string, url: string, secrets: string[], shown: string[]) =>
    form(name, ['--url', url, '--epochs', '3'], secrets, [...shown, '--epochs']);
  const two = (name: string, url: string, secrets: string[], shown: string[]) =>
    form(name, [`--url=${url}`], secrets, shown);
  return [
    one('PostgreSQL', `postgres://me:${secret}@db.host:5432/runs`, [secret], ['postgres://me:', '@db.host:5432/runs']),
    two('SQLAlchemy', `postgresql+psycopg2://me:${secret}@db/runs`, [secret], ['@db/runs']),
    one('MySQL', `mysql://root:${secret}@127.0.0.1/optuna`, [secret], ['@127.0.0.1/optuna']),
    two('MongoDB', `mongodb+srv://me:${secret}@c0.example.net/x?retryWrites=true`, [secret], ['retryWrites=true']),
    one('Redis', `redis://:${secret}@cache:6379/0`, [secret], ['@cache:6379/0']),
    one('AMQP', `amqps://guest:${secret}@mq/vhost`, [secret], ['@mq/vhost']),
    one('JDBC', `jdbc:postgresql://me:${secret}@db/runs`, [secret], ['@db/runs']),
    one('a slash in it', `postgres://me:${odd}@db/runs`, [odd], ['@db/runs']),
    one('FTP', `ftp://me:${secret}@files.host/data.zip`, [secret], ['files.host/data.zip']),
    one(
      'git with a token',
      `https://${mixed(24)}1aB2c3D4@github.com/me/data.git`,
      ['1aB2c3D4'],
      ['github.com/me/data.git'],
    ),
    two('git as oauth2', `https://oauth2:${secret}@gitlab.com/me/data.git`, [secret], ['oauth2:', 'gitlab.com/me']),
    one(
      'git with x-oauth-basic',
      `https://${mixed(40)}zZ9:x-oauth-basic@github.com/me/x`,
      ['zZ9:'],
      ['github.com/me/x'],
    ),
    one('pip index', `https://__token__:${secret}@pypi.host/simple`, [secret], ['__token__', 'pypi.host/simple']),
    one('proxy', `http://me:${secret}@proxy:3128`, [secret], ['@proxy:3128']),
    one(
      'S3 presigned',
      `https://b.s3.amazonaws.com/k?X-Amz-Signature=${hex(64)}&X-Amz-Expires=60`,
      ['X-Amz-Signature='.concat(hex(0))].slice(1),
      ['X-Amz-Expires=60'],
    ),
    one('signature', `https://h/x?X-Amz-Signature=${secret}&X-Amz-Date=20240101`, [secret], ['X-Amz-Date=20240101']),
    one('security token', `https://h/x?X-Amz-Security-Token=${secret}&b=1`, [secret], ['b=1']),
    one(
      'credential',
      `https://h/x?X-Amz-Credential=AK${'IA'}${'Q'.repeat(16)}%2F2024`,
      ['Q'.repeat(16)],
      ['https://h/x?'],
    ),
    one(
      'Google signed',
      `https://storage.googleapis.com/b/o?X-Goog-Signature=${secret}&X-Goog-Expires=9`,
      [secret],
      ['X-Goog-Expires=9'],
    ),
    one(
      'Azure SAS',
      `https://a.blob.core.windows.net/c?sv=2022&se=2024&sig=${secret}%3D`,
      [secret],
      ['sv=2022&se=2024'],
    ),
    one('CloudFront', `https://d.cloudfront.net/x?Signature=${secret}&Key-Pair-Id=K1`, [secret], ['Key-Pair-Id=K1']),
    one('token in a query', `https://h/x?token=${secret}&page=2`, [secret], ['page=2']),
    one('key in a query', `https://api.h/v1?key=${secret}`, [secret], ['https://api.h/v1?key=']),
    one('api key in a query', `https://api.h/v1?lang=en&api_key=${secret}`, [secret], ['lang=en']),
    one('password in a query', `https://h/login?user=me&password=${secret}`, [secret], ['user=me']),
    one('access token in a fragment', `https://h/cb#access_token=${secret}&state=9`, [secret], ['state=9']),
    one('client secret', `https://h/t?client_secret=${secret}&grant_type=x`, [secret], ['grant_type=x']),
    one(
      'Slack webhook',
      `https://hooks.slack.com/services/T${digits(8)}/B${digits(8)}/${secret}`,
      [secret],
      ['hooks.slack.com'],
    ),
    two('Discord webhook', `https://discord.com/api/webhooks/${digits(18)}/${secret}`, [secret], ['discord.com']),
    one('Telegram', `https://api.telegram.org/bot${digits(9)}:${mixed(35)}/sendMessage`, [], ['api.telegram.org']),
    one(
      'Teams webhook',
      `https://x.webhook.office.com/webhookb2/${secret}/IncomingWebhook/${hex(32)}`,
      [secret],
      ['webhook.office.com'],
    ),
    one('Zapier', `https://hooks.zapier.com/hooks/catch/${digits(6)}/${secret}/`, [secret], ['hooks.zapier.com']),
    one('DingTalk', `https://oapi.dingtalk.com/robot/send?access_token=${secret}`, [secret], ['oapi.dingtalk.com']),
    one('WeCom', `https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=${secret}`, [secret], ['qyapi.weixin.qq.com']),
    one('Feishu', `https://open.feishu.cn/open-apis/bot/v2/hook/${hex(8)}-${secret}`, [secret], ['open.feishu.cn']),
    one('Sentry', `https://${hex(32)}@o1.ingest.sentry.io/2`, [], ['o1.ingest.sentry.io/2']),
    one('two urls', `https://a/?token=${secret},https://b/?x=1`, [secret], ['https://a/']),
    form('without a scheme', ['--db', `me:${secret}@db.host:5432/runs`], [secret], ['@db.host:5432/runs']),
  ];
}

function texts(random: Generator): Form[] {
  const { mixed, base64, digits } = random.tools();
  const secret = mixed(18);
  const words = `${mixed(6)} ${mixed(6)}`;
  const pem = ['-----BEGIN RSA ', 'PRIVATE KEY-----'].join('');
  const one = (name: string, words: string[], secrets = [secret], shown: string[] = []) =>
    form(name, words, secrets, shown);
  return [
    one('PEM', [`--cert=${pem}\n${base64(64)}\n${secret}\n-----END RSA PRIVATE KEY-----`]),
    one('PEM alone', [`${pem}\n${secret}\n-----END RSA PRIVATE KEY-----`]),
    one(
      'PEM in JSON',
      [`{"private_key": "${pem}\\n${secret}\\n-----END RSA PRIVATE KEY-----\\n", "type": "x"}`],
      [secret],
      ['"type"'],
    ),
    one('bearer header', ['-H', `Authorization: Bearer ${secret}`], [secret], ['Authorization: Bearer']),
    one('basic header', ['-H', `Authorization: Basic ${base64(24)}${secret}`], [secret], ['Authorization: Basic']),
    one('token header', ['--header', `Authorization: token ${secret}`]),
    one('key header', ['--header', `X-Api-Key: ${secret}`], [secret], ['X-Api-Key']),
    one('cookie header', ['--header', `Cookie: session=${secret}; theme=dark`]),
    one('header as words', ['Authorization:', 'Bearer', secret]),
    one('bearer in a text', [`--note=Bearer ${secret}`]),
    one(
      'ADO.NET',
      [`--conn=Server=db;Database=runs;User Id=me;Password=${secret};Encrypt=true`],
      [secret],
      ['Server=db', 'Encrypt=true'],
    ),
    one('ADO.NET with a space', ['--conn', `Server=db;Uid=me;Pwd=${words};Encrypt=true`], [words], ['Encrypt=true']),
    one('ODBC', ['--conn', `Driver={x};Server=db;PWD=${secret}`], [secret], ['Server=db']),
    one(
      'Azure storage',
      [`DefaultEndpointsProtocol=https;AccountName=a;AccountKey=${secret}==;EndpointSuffix=x`],
      [secret],
      ['AccountName=a'],
    ),
    one(
      'Azure service bus',
      ['--bus', `Endpoint=sb://x/;SharedAccessKeyName=k;SharedAccessKey=${secret}=`],
      [secret],
      ['Endpoint=sb://x/'],
    ),
    one('libpq', ['--dsn', `host=db user=me password=${secret} dbname=runs`], [secret], ['dbname=runs']),
    one('JSON', ['--cfg', `{"lr": 0.1, "api_key": "${secret}"}`], [secret], ['"lr": 0.1']),
    one('JSON with escaped quotes', ['--cfg', `{\\"token\\": \\"${secret}\\", \\"lr\\": 1}`], [secret], ['lr']),
    one('JSON, nested', ['--cfg', `{"logger": {"wandb": {"key": "x", "wandb_key": "${secret}"}}}`]),
    one('JSON with a list', ['--cfg', `{"passwords": "${secret}", "n": [1, 2]}`], [secret], ['[1, 2]']),
    one('Python', ['--cfg', `{'password': '${secret}', 'lr': 0.1}`], [secret], ["'lr': 0.1"]),
    one('Python call', ['-c', `login(token='${secret}', x=1)`], [secret], ['x=1']),
    one('YAML', ['--cfg', `{password: ${secret}, lr: 0.1}`], [secret], ['lr: 0.1']),
    one('YAML line', ['--cfg', `db:\n  password: ${secret}\n  host: h`], [secret], ['host: h']),
    one('YAML in words', ['password:', secret]),
    one('TOML', ['--cfg', `api_key = "${secret}"`]),
    one('Hydra list', [`+logger={api_key:${secret},project:x}`], [secret], ['project:x']),
    one('Hydra force', [`++logger.wandb.api_key=${secret}`], [secret], ['++logger.wandb.api_key=']),
    one('Hydra package', [`logger/wandb.token=${secret}`]),
    one('variable before a command', ['env', `API_TOKEN=${secret}`, 'python', 'x.py'], [secret], ['x.py']),
    one('docker -e', ['docker', 'run', '-e', `WANDB_API_KEY=${secret}`, 'image'], [secret], ['image']),
    one('docker --env', ['docker', 'run', `--env=HF_TOKEN=${secret}`, 'image'], [secret], ['image']),
    one('build argument', ['--build-arg', `PYPI_TOKEN=${secret}`]),
    one('a define', [`-DAPI_KEY=${secret}`]),
    one('shell text', ['bash', '-c', `HF_TOKEN=${secret} python x.py --epochs 3`], [secret], ['--epochs 3']),
    one(
      'shell text with an option',
      ['bash', '-c', `python x.py --token ${secret} --epochs 3`],
      [secret],
      ['--epochs 3'],
    ),
    one(
      'shell text with a quoted option',
      ['bash', '-c', `python x.py --password "${secret}" --epochs 3`],
      [secret],
      ['--epochs 3'],
    ),
    one('export', ['bash', '-c', `export WANDB_API_KEY='${secret}'; python x.py`], [secret], ['x.py']),
    one('several values', ['--api-keys', secret, mixed(20), '--epochs', '3'], [secret], ['--epochs']),
    one('a number as password', ['--password', digits(8)], [], []),
    one('a value with an equals sign', [`--password=${secret}=&;x`], [secret, '&;x']),
    one('a value that begins with a dash', ['--api-key', `-${mixed(30)}7x`], ['7x']),
    one('AWS secret alone', [awsSecret(random)], [], []),
    one('PowerShell', [`-Token:${secret}`]),
    one('walrus', [`api_key:=${secret}`]),
  ];
}

function programs(random: Generator): Form[] {
  const { mixed, hex } = random.tools();
  const secret = mixed(13);
  const key = hex(40);
  const one = (name: string, words: string[], secrets = [secret], shown: string[] = []): Form => ({
    name,
    words,
    secrets,
    shown,
  });
  return [
    one('mysql', ['mysql', '-u', 'root', `-p${secret}`, 'runs'], [secret], ['root', 'runs']),
    one('sshpass', ['sshpass', '-p', secret, 'ssh', 'me@host'], [secret], ['me@host']),
    one('sshpass, attached', ['sshpass', `-p${secret}`, 'ssh', 'me@host'], [secret], ['me@host']),
    one('curl', ['curl', '-u', `me:${secret}`, 'https://h/x'], [secret], ['me:', 'https://h/x']),
    one('curl --user', ['/usr/bin/curl', '--user', `me:${secret}`, 'https://h/x'], [secret], ['https://h/x']),
    one('docker login', ['docker', 'login', '-u', 'me', '-p', secret, 'ghcr.io'], [secret], ['ghcr.io']),
    one('redis-cli', ['redis-cli', '-a', secret, 'ping'], [secret], ['ping']),
    one('wandb login', ['wandb', 'login', key], [key]),
    one('wandb login in a shell', ['bash', '-c', `wandb login ${key} && python x.py`], [key], ['x.py']),
    one('aws configure', ['aws', 'configure', 'set', 'aws_secret_access_key', `${secret}${mixed(27)}`], [secret]),
    one('hf login', ['hf', 'auth', 'login', '--token', `hf${'_'}${mixed(34)}`], [], ['login']),
    one('openssl', ['openssl', 'enc', '-pass', `pass:${secret}`], [secret]),
    one('zip', ['zip', '-P', secret, 'a.zip', 'b'], [secret], ['a.zip']),
    one('wget', ['wget', `--password=${secret}`, 'https://h/x'], [secret], ['https://h/x']),
  ];
}

function awsSecret(random: Generator): string {
  const { mixed } = random.tools();
  return `${mixed(12)}aA1/${mixed(11)}+${mixed(12)}`;
}
