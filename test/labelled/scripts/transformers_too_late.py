import trainstash
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

model = AutoModelForCausalLM.from_pretrained("gpt2")
trainer = Trainer(model=model, args=TrainingArguments("out"), train_dataset=data)
trainer.train()
trainstash.attach(trainer)  # <- lateAdapter
