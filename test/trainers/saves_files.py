"""Trains nothing and saves files as scripts do, without the package."""
import os, sys, time, zipfile
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
def save(path, text, whole=True):
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with zipfile.ZipFile(path, 'w') as z: z.writestr('archive/data.pkl', text)
    if not whole: os.truncate(path, os.path.getsize(path) - 10)
start = 0
if '--resume' in args:
    with zipfile.ZipFile(args['--resume']) as z: start = int(z.read('archive/data.pkl')) + 1
    print('RESUMED', args['--resume'], start, flush=True)
print('TTY', sys.stdout.isatty(), args, flush=True)
for epoch in range(start, int(args.get('--epochs', 3))):
    print(f'trainstash step={(epoch + 1) * 100} epoch={epoch} loss={1 / (epoch + 1)}', flush=True)
    save(f'out/ckpt_epoch_{epoch:04d}.pt', str(epoch))
    time.sleep(float(args.get('--sleep', 0)))
