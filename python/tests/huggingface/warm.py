"""Imports that every training with Transformers begins with, and that take as long as one: done once, in the process that forks."""

import datasets  # noqa: F401
import peft  # noqa: F401
import safetensors.torch  # noqa: F401
import trainstash.huggingface  # noqa: F401
import transformers.models.bert.modeling_bert  # noqa: F401
import transformers.trainer  # noqa: F401
from transformers import conversion_mapping

conversion_mapping.get_checkpoint_conversion_mapping("bert")
