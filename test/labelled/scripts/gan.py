import torch
import trainstash

G, D = Generator(), Discriminator()
opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)  # <- untrackedObject
run = trainstash.init(generator=G, discriminator=D, optimizer=opt_g)
for epoch in run.epochs(50):
    for real, _ in run.batches(loader):
        opt_d.zero_grad()
        loss_d = discriminator_loss(D, G, real)
        loss_d.backward()
        opt_d.step()
        opt_g.zero_grad()
        loss_g = generator_loss(D, G)
        loss_g.backward()
        opt_g.step()
        run.step(loss_d=loss_d, loss_g=loss_g)
