"""TRL's SFTTrainer on texts, with a tokenizer that is made here."""


import trainer as case
import trainstash
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

words = "the a dog cat sees hears is was not very old new red blue and then".split()
vocabulary = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *words])}
plain = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
texts = [" ".join(words[(i * 7 + j * 3) % len(words)] for j in range(4 + i % 5)) for i in range(32)]
config = GPT2Config(vocab_size=len(vocabulary), n_positions=16, n_embd=8, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=1, pad_token_id=0)
arguments = SFTConfig(
    output_dir=case.OUT, num_train_epochs=2, per_device_train_batch_size=4, learning_rate=1e-2, logging_steps=1, save_strategy="no",
    use_cpu=True, bf16=False, report_to=[], disable_tqdm=True, max_length=16, seed=5, dataset_num_proc=None, gradient_checkpointing=False,
)  # fmt: skip
peft = {}
if case.HOW.get("lora") is not None:
    from peft import LoraConfig

    peft["peft_config"] = LoraConfig(r=2, target_modules=["c_attn"], lora_dropout=0.1, task_type="CAUSAL_LM")
trainer = SFTTrainer(model=GPT2LMHeadModel(config), args=arguments, train_dataset=Dataset.from_dict({"text": texts}), processing_class=tokenizer, **peft)
trainer = trainstash.attach(trainer)
trainer.add_callback(case.Fate())
trainer.train()
case.leave(trainer)
