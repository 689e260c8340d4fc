import os; import warnings; warnings.simplefilter("ignore")
import numpy as np
import paddle
import trainstash
from paddle import nn
paddle.seed(1); np.random.seed(1)
rng=np.random.default_rng(0); X=rng.normal(size=(40,8)).astype("float32"); Y=(X.sum(1)>0).astype("int64")[:,None]
class D(paddle.io.Dataset):
    def __len__(s): return 40
    def __getitem__(s,i): return X[i]+np.random.normal(size=8).astype("float32")*0.1, Y[i]
net=nn.Sequential(nn.Linear(8,8),nn.Dropout(0.2),nn.Linear(8,2))
model=paddle.Model(net); model.prepare(paddle.optimizer.Adam(0.01,parameters=net.parameters()), nn.CrossEntropyLoss())
rank=paddle.distributed.get_rank()
class K(paddle.callbacks.Callback):
    n=0
    def on_train_batch_end(self, step, logs=None):
        K.n+=1
        if K.n==int(os.environ.get("KILL","-1")) and rank==int(os.environ.get("KILL_RANK","0")): os.kill(os.getpid(),9)
        if K.n==int(os.environ.get("PAUSE","-1")) and rank==0:
            open(os.path.join(os.environ["TRAINSTASH_SESSION"],"control"),"w").write('{"seq": 1, "pause": true}'); __import__('time').sleep(0.2)
model.fit(D(),epochs=4,batch_size=4,verbose=0,callbacks=[trainstash.paddle(),K()])
import hashlib; h=hashlib.sha256()
for v in net.state_dict().values(): h.update(v.numpy().tobytes())
open(os.path.join(os.environ["TRAINSTASH_SESSION"], f"final.{rank}"),"w").write(f"{h.hexdigest()[:12]} {K.n} {paddle.rand([1]).item()} {np.random.rand()}")
