"""Small transformers of the transformers package with random weights, for tools to count.

Each factory is a spec for archstat: ``benchmarks/transformers_small.py:bert``.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

INPUTS = {
    **dict.fromkeys(("albert", "bert", "distilbert", "electra", "gpt2", "roberta", "t5", "llama"),
                    "32:int64"),
    **dict.fromkeys(("deit", "vit"), "3x32x32"),
}  # fmt: skip
_ENCODER = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
}  # fmt: skip
_WORDS = {"vocab_size": 100, "max_position_embeddings": 64}
_IMAGE = {**_ENCODER, "image_size": 32, "patch_size": 8}


class First(nn.Module):
    """The first output of a model; one with a decoder is given its encoder's input for it."""

    def __init__(self, model: nn.Module, given: str = "") -> None:
        super().__init__()
        self.model, self.given = model, given

    def forward(self, x: Tensor) -> Tensor:
        """The first output, of the shape that the model says."""
        more: dict[str, Any] = {self.given: x} if self.given else {}
        found: Tensor = self.model(x, return_dict=False, **more)[0]
        return found


def albert() -> nn.Module:
    """ALBERT, whose layers share their weights."""
    from transformers import AlbertConfig, AlbertModel

    return First(AlbertModel(AlbertConfig(**_ENCODER, **_WORDS, embedding_size=32)))


def bert() -> nn.Module:
    """BERT."""
    from transformers import BertConfig, BertModel

    return First(BertModel(BertConfig(**_ENCODER, **_WORDS)))


def deit() -> nn.Module:
    """DeiT."""
    from transformers import DeiTConfig, DeiTModel

    return First(DeiTModel(DeiTConfig(**_IMAGE)))


def distilbert() -> nn.Module:
    """DistilBERT."""
    from transformers import DistilBertConfig, DistilBertModel

    return First(DistilBertModel(DistilBertConfig(dim=64, n_layers=2, n_heads=4, hidden_dim=128,
                                                  **_WORDS)))  # fmt: skip


def electra() -> nn.Module:
    """ELECTRA."""
    from transformers import ElectraConfig, ElectraModel

    return First(ElectraModel(ElectraConfig(**_ENCODER, **_WORDS, embedding_size=32)))


def gpt2() -> nn.Module:
    """GPT-2, whose linear layers are of a class of its own."""
    from transformers import GPT2Config, GPT2Model

    config = GPT2Config(n_embd=64, n_layer=2, n_head=4, n_positions=64, vocab_size=100,
                        use_cache=False, bos_token_id=0, eos_token_id=0)  # fmt: skip
    return First(GPT2Model(config))


def llama() -> nn.Module:
    """Llama."""
    from transformers import LlamaConfig, LlamaModel

    return First(LlamaModel(LlamaConfig(**_ENCODER, **_WORDS, use_cache=False)))


def roberta() -> nn.Module:
    """RoBERTa."""
    from transformers import RobertaConfig, RobertaModel

    return First(RobertaModel(RobertaConfig(**_ENCODER, **_WORDS)))


def t5() -> nn.Module:
    """T5, encoder and decoder."""
    from transformers import T5Config, T5Model

    config = T5Config(d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, vocab_size=100,
                      use_cache=False)  # fmt: skip
    return First(T5Model(config), "decoder_input_ids")


def vit() -> nn.Module:
    """ViT."""
    from transformers import ViTConfig, ViTModel

    return First(ViTModel(ViTConfig(**_IMAGE)))
