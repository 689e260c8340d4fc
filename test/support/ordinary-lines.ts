/** Command lines of machine learning without secrets, but with much that looks a little like one. */
import { Generator } from './generator.ts';

/** Makes `count` lines as words, the same for the same seed. */
export function ordinaryLines(seed: number, count: number): string[][] {
  const random = new Generator(seed);
  return Array.from({ length: count }, (_, i) => line(random, i));
}

function line(random: Generator, i: number): string[] {
  const start = STARTS[i % STARTS.length]!(random);
  const parts = Array.from({ length: 2 + random.below(4) }, () => random.pick(PARTS)(random));
  return [...start, ...parts.flat()];
}

const hex = (random: Generator, length: number) => random.tools().hex(length);
const uuid = (random: Generator) => [8, 4, 4, 4, 12].map((length) => hex(random, length)).join('-');
const number = (random: Generator) => String(random.below(100_000));
const rate = (random: Generator) => random.pick(['1e-3', '3e-4', '0.05', '5.0e-05', '.1', '2e-5', '0.00032']);
const word = (random: Generator) =>
  random.pick([
    'baseline',
    'resnet50',
    'vit_base_patch16_224',
    'gpt2-medium',
    'bert-base-uncased',
    'run42',
    'ablation_3b',
  ]);
const path = (random: Generator) =>
  random.pick([
    `/data/imagenet/train`,
    `runs/${word(random)}/checkpoint-${number(random)}`,
    `./ckpts/${hex(random, 40)}.pt`,
    `models--meta-llama--Llama-3.1-8B/snapshots/${hex(random, 40)}/config.json`,
    `/mnt/nfs/user_7/Exp-2024-05-01_12-33-10/last.ckpt`,
    `s3://bucket-7/datasets/c4/en/part-000${random.below(10)}.tar`,
    `gs://my-bucket/run_${number(random)}/model.safetensors`,
    `~/.cache/huggingface/hub`,
    `data/train_{000000..001023}.tar`,
    `C:\\data\\train`,
  ]);
const base64Name = (random: Generator) => `ZGF0YXNldC${random.tools().mixed(8)}LW5hbWU`;

type Part = (random: Generator) => string[];

const STARTS: readonly Part[] = [
  () => ['python', 'train.py'],
  () => ['python3', '-m', 'torch.distributed.run', '--nproc_per_node=8', 'train.py'],
  () => ['torchrun', '--standalone', '--nnodes=1', '--rdzv_id=100', '--rdzv_endpoint=localhost:29500', 'main.py'],
  () => ['accelerate', 'launch', '--mixed_precision', 'bf16', 'run_clm.py'],
  (random) => ['deepspeed', '--num_gpus=4', '--master_port', '29501', 'train.py', '--local_rank', number(random)],
  () => ['uv', 'run', 'python', 'train.py'],
  () => ['python', '-u', '-X', 'faulthandler', 'src/train.py'],
  (random) => [
    'CUDA_VISIBLE_DEVICES=0,1',
    'OMP_NUM_THREADS=8',
    `PYTHONHASHSEED=${number(random)}`,
    'python',
    'main.py',
  ],
  (random) => ['bash', '-c', `cd /work && git checkout ${hex(random, 40)} && python train.py --seed ${number(random)}`],
  (random) => ['git', 'checkout', hex(random, 40)],
  (random) => [
    'docker',
    'run',
    '--rm',
    '-p',
    '8080:80',
    '-u',
    '1000:1000',
    `nvcr.io/nvidia/pytorch@sha256:${hex(random, 64)}`,
  ],
  (random) => [
    'docker',
    'run',
    '-v',
    '/data:/data:ro',
    `pytorch/pytorch:2.4.0-cuda12.1@sha256:${hex(random, 64)}`,
    'python',
    'x.py',
  ],
  () => ['lightning', 'run', 'model', 'train.py'],
  () => ['composer', 'train.py', 'configs/mosaic.yaml'],
  () => ['python', 'scripts/tokenize_corpus.py'],
  () => ['julia', '--project', 'train.jl'],
  () => ['node', 'train.ts'],
  () => ['rsync', '-a', 'me@host.example.org:/data/', './data/'],
  () => ['ssh', '-p', '2222', 'me@gpu-7.example.org', 'nvidia-smi'],
  () => ['curl', '-L', 'https://download.pytorch.org/models/resnet50-0676ba61.pth', '-o', 'r50.pth'],
];

const option = (name: string, value: (random: Generator) => string): Part[] => [
  (random) => [`--${name}`, value(random)],
  (random) => [`--${name}=${value(random)}`],
];
const hydra =
  (name: string, value: (random: Generator) => string): Part =>
  (random) => [`${name}=${value(random)}`];
const one =
  (...values: string[]) =>
  (random: Generator) =>
    random.pick(values);

const PARTS: readonly Part[] = [
  ...option('lr', rate),
  ...option('learning_rate', rate),
  ...option('batch-size', number),
  ...option('epochs', number),
  ...option('seed', number),
  ...option('weight_decay', rate),
  ...option('output_dir', path),
  ...option('data', path),
  ...option('resume', path),
  ...option('resume_from_checkpoint', path),
  ...option('ckpt', (random) => hex(random, 40)),
  ...option('commit', (random) => hex(random, 40)),
  ...option('revision', (random) => hex(random, 40)),
  ...option('model_revision', (random) => hex(random, 40)),
  ...option('git-sha', (random) => hex(random, 40)),
  ...option('base_commit', (random) => hex(random, 40)),
  ...option('md5', (random) => hex(random, 32)),
  ...option('checksum', (random) => `sha256:${hex(random, 64)}`),
  ...option('run_name', uuid),
  ...option('run-id', uuid),
  ...option('wandb_project', word),
  ...option('wandb_run_id', (random) => hex(random, 8)),
  ...option('wandb_mode', one('offline', 'online', 'disabled')),
  ...option('wandb', one('true', 'false')),
  ...option('name', (random) => `${word(random)}-${hex(random, 7)}`),
  ...option('experiment', (random) => `exp_${number(random)}_${word(random)}`),
  ...option('tokenizer', one('gpt2', 'bert-base-cased', './tok', 'EleutherAI/gpt-neox-20b')),
  ...option('tokenizer_name', one('t5-small', 'facebook/opt-1.3b')),
  ...option('max_tokens', number),
  ...option('max-new-tokens', number),
  ...option('num_tokens', one('100B', '1e9', '300_000')),
  ...option('tokens_per_batch', number),
  ...option('max_tokens_per_gpu', number),
  ...option('pad_token_id', number),
  ...option('eos_token_id', number),
  ...option('pad_token', one('<pad>', '[PAD]', '<|endoftext|>', '</s>')),
  ...option('mask_token', one('<mask>', '[MASK]')),
  ...option('eos_token', one('<|im_end|>', '</s>')),
  ...option('placeholder_token', one('<cat-toy>', 'sks')),
  ...option('initializer_token', one('toy', 'cat')),
  ...option('special_tokens', one('<a>,<b>', '[X]')),
  ...option('token_dropout', rate),
  ...option('token_type', one('bpe', 'word')),
  ...option('token-mixer', one('pool', 'attn')),
  ...option('num_register_tokens', one('4', '0')),
  ...option('use_auth_token', one('True', 'false')),
  ...option('key_dim', number),
  ...option('num-keys', number),
  ...option('key', one('loss', 'val_acc', 'image')),
  ...option('image_key', one('jpg', 'image.png', 'pixel_values')),
  ...option('text-key', one('text', 'content')),
  ...option('label_key', one('label', 'cls')),
  ...option('sort_key', one('step', 'time_ms')),
  ...option('state_dict_key', one('model_ema', 'teacher', 'state_dict')),
  ...option('monitor', one('val_loss', 'valid/acc@1')),
  ...option('metric_key_prefix', one('eval', 'test')),
  ...option('auth', one('none', 'basic', 'ldap')),
  ...option('auth-type', one('oauth2', 'token')),
  ...option('hub_model_id', one('me/my-model', 'org/x-7b')),
  ...option('hub_private_repo', one('true')),
  ...option('hub_strategy', one('every_save', 'checkpoint')),
  ...option('push_to_hub', one('false')),
  ...option('api_base', one('http://localhost:8000/v1', 'https://api.example.org/v2')),
  ...option('api_key', one('EMPTY', 'none', '$OPENAI_API_KEY', '${KEY}')),
  ...option('hf_token', one('$HF_TOKEN', '')),
  ...option('api_version', one('2024-02-01', 'v1beta')),
  ...option('credentials', one('~/.config/gcloud/adc.json', './creds.json')),
  ...option('password-file', one('/run/secrets/db', 'pw.txt')),
  ...option('secrets_dir', path),
  ...option('session_name', word),
  ...option('passes', one('2', '10')),
  ...option('num_passes', one('3')),
  ...option('bypass', one('true')),
  ...option('pin_memory', one('True')),
  ...option('signature', one('serving_default')),
  ...option('sigma', rate),
  ...option('author', one('jdoe')),
  ...option('authors', one('me')),
  ...option('cookbook', one('a.md')),
  ...option('dataset', one('wikitext', 'imagenet-1k', 'HuggingFaceFW/fineweb-edu')),
  ...option('dataset_name', base64Name),
  ...option('shard', (random) => `train-${String(random.below(99_999)).padStart(5, '0')}-of-00512.parquet`),
  ...option('model', word),
  ...option(
    'arch',
    one('convnextv2_huge.fcmae_ft_in22k_in1k_384', 'efficientnet_b0', 'vit_small_patch14_dinov2.lvd142m'),
  ),
  ...option('pretrained', one('laion2b_s34b_b79k', 'IMAGENET1K_V2', 'openai')),
  ...option('betas', one('0.9,0.999', '(0.9, 0.95)')),
  ...option('config', one('{"lr": 0.1, "units": 64}', 'configs/a.yaml', '{"tokenizer": "gpt2", "max_tokens": 512}')),
  ...option('overrides', one('model.key_dim=64 optim.lr=0.1', "{'pad_token_id': 0}")),
  ...option('world_info', (random) => `eyJsb2NhbGhvc3QiOiBbMCwgMSwgMl19${random.tools().mixed(4)}`),
  ...option(
    'url',
    one(
      'https://example.org/data.tar.gz?version=2&part=7',
      'http://host:8080/api/v1/query?limit=100',
      'https://zenodo.org/record/123/files/x.zip?download=1',
    ),
  ),
  ...option('tracking_uri', one('http://127.0.0.1:5000', 'sqlite:///mlflow.db', 'file:///tmp/mlruns')),
  ...option('db', one('postgresql://db.host/runs', 'sqlite:///optuna.db', 'redis://cache:6379/0')),
  ...option('dist_url', one('tcp://127.0.0.1:23456', 'env://')),
  ...option(
    'repo',
    one(
      'git@github.com:me/data.git',
      'https://github.com/me/data.git',
      'git+https://github.com/huggingface/trl@v0.9.4',
    ),
  ),
  ...option('time', one('2024-05-01T12:33:10', '12:30:00')),
  ...option('note', one('the basic run', 'with a bearer of news', 'token mixing: pool', 'lr: 0.1, wd: 0.01')),
  ...option('version', one('1.2.3+cu121', '2.4.0.dev20240501')),
  ...option('uuid', uuid),
  ...option('hash', (random) => hex(random, 40)),
  ...option('parent', uuid),
  ...option('gpu', one('0', 'GPU-8f6e3c9a-1b2c-3d4e-5f60-718293a4b5c6')),
  hydra('optim.lr', rate),
  hydra('model.key_dim', number),
  hydra('+trainer.max_tokens', number),
  hydra('data.image_key', one('jpg')),
  hydra('logger.wandb.project', word),
  hydra('hydra.run.dir', path),
  hydra('~trainer.callbacks', one('null')),
  hydra('model.tokenizer', one('gpt2')),
  hydra('seed', number),
  hydra('trainer.resume', (random) => hex(random, 40)),
  (random) => [path(random)],
  (random) => [word(random)],
  (random) => [uuid(random)],
  (random) => [hex(random, 32)],
  (random) => [hex(random, 64)],
  (random) => [`checkpoint_${hex(random, 40)}.pt`],
  () => ['--fp16', '--gradient_checkpointing'],
  () => ['-p', 'lr=0.1', '-p', 'units=64'],
  () => ['-p', '10', '-k', '5'],
  () => ['--no-token-embeddings', '--tie-keys'],
  () => ['-m', 'pytest', '-k', 'test_token or test_key'],
  () => ['--trust_remote_code', '--use_fast_tokenizer'],
];
