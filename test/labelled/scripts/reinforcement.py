import torch
import trainstash
from collections import deque

policy = Policy()
optimizer = torch.optim.Adam(policy.parameters())
run = trainstash.init(policy=policy, optimizer=optimizer)
rewards = deque(maxlen=100)  # <- loopVariable
for episode in run.epochs(1000):
    loss, reward = play(policy, env)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    rewards.append(reward)
    run.step(loss=loss, reward=sum(rewards) / len(rewards))
