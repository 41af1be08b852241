"""Networks of transformers from a config alone, against products of its dimensions."""

from __future__ import annotations

import json
import socket

import pytest

from archstat.errors import (
    ArchstatError,
    BuildError,
    InputError,
    OptionError,
    SpecError,
    UnknownModelError,
)
from archstat.frontends.elsewhere import LOOKED
from archstat.models.pipeline import analyze, graph_of_spec
from archstat.models.sources import find
from archstat.models.specs import parse_spec

pytest.importorskip("transformers")


@pytest.fixture(autouse=True)
def _alone(torchvision, monkeypatch):
    """transformers imports torchvision, and nothing may ask a network."""

    def refuse(*args, **kwargs):
        raise AssertionError("a network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


H, F, L, HEADS, KV, V, S = 64, 96, 2, 4, 2, 500, 24
D = H // HEADS
LLAMA = (f"hf:LlamaForCausalLM,hidden_size={H},intermediate_size={F},num_hidden_layers={L},"
         f"num_attention_heads={HEADS},num_key_value_heads={KV},vocab_size={V}")  # fmt: skip
MIXTRAL = LLAMA.replace("Llama", "Mixtral") + ",num_local_experts=8,num_experts_per_tok=3"
GPT2 = f"hf:gpt2,task=causal-lm,n_embd={H},n_layer={L},n_head={HEADS},vocab_size={V}"
BERT = (f"hf:BertForMaskedLM,hidden_size={H},intermediate_size={F},num_hidden_layers={L},"
        f"num_attention_heads={HEADS},vocab_size={V}")  # fmt: skip
T5 = (f"hf:T5ForConditionalGeneration,d_model={H},d_ff={F},num_layers={L},num_decoder_layers=3,"
      f"num_heads={HEADS},d_kv=8,vocab_size={V}")  # fmt: skip
WHISPER = (f"hf:WhisperForConditionalGeneration,d_model={H},encoder_layers={L},decoder_layers=3,"
           f"encoder_attention_heads={HEADS},decoder_attention_heads={HEADS},encoder_ffn_dim={F},"
           f"decoder_ffn_dim={F},vocab_size={V},max_source_positions=50,num_mel_bins=20,"
           "pad_token_id=0")  # fmt: skip
VIT = (f"hf:ViTForImageClassification,hidden_size={H},intermediate_size={F},num_hidden_layers={L},"
       f"num_attention_heads={HEADS},image_size=32,patch_size=8,num_labels=10")  # fmt: skip
TOWER = "{hidden_size: 64, intermediate_size: 96, num_hidden_layers: 2, num_attention_heads: 4"
CLIP = (f"hf:CLIPModel,projection_dim=40,text_config={TOWER}, vocab_size: 500}},"
        f"vision_config={TOWER}, image_size: 32, patch_size: 8}}")  # fmt: skip

LLAVA = (f"hf:LlavaForConditionalGeneration,image_token_index=9,text_config={{model_type: llama, "
         f"hidden_size: {H}, intermediate_size: {F}, num_hidden_layers: {L}, num_attention_heads: "
         f"{HEADS}, vocab_size: {V}}},vision_config={{model_type: clip_vision_model, hidden_size: "
         f"{H}, intermediate_size: {F}, num_hidden_layers: {L}, num_attention_heads: {HEADS}, "
         "image_size: 32, patch_size: 16}")  # fmt: skip
DETR = (f"hf:DetrForObjectDetection,d_model={H},encoder_layers={L},decoder_layers=3,num_queries=20,"
        f"encoder_attention_heads={HEADS},decoder_attention_heads={HEADS},encoder_ffn_dim={F},"
        f"decoder_ffn_dim={F},backbone_config={{model_type: resnet, out_features: [stage4], "
        "embedding_size: 16, hidden_sizes: [16, 32, 64, 128], depths: [1, 1, 1, 1], layer_type: "
        "basic},image=64")  # fmt: skip


def attention(queries, keys, inner=H):
    """Both products of attention, all heads together."""
    return 2 * queries * keys * inner


def projections(rows, context=None):
    """Queries, keys, values and the output of a layer with as many heads of each."""
    return 2 * rows * H * H + 2 * (rows if context is None else context) * H * H


def test_llama_is_its_products():
    totals = analyze(f"{LLAMA},seq={S}").totals
    layer = 2 * H * H + 2 * H * KV * D + 3 * H * F
    assert totals["macs"] == S * (L * layer + H * V) + L * attention(S, S)
    assert totals["params"] == 2 * V * H + L * (layer + 2 * H) + H


@pytest.mark.parametrize("text", [LLAMA, GPT2, BERT, MIXTRAL], ids=["llama", "gpt2", "bert", "moe"])
def test_mask_changes_no_product_and_needs_no_weights(text):
    masked = analyze(f"{text},seq={S},mask=1")
    assert masked.totals["macs"] == analyze(f"{text},seq={S}").totals["macs"]
    assert (masked.graph.device, masked.graph.notes) == ("meta", (LOOKED,))


@pytest.mark.parametrize("mask", ["", ",mask=1"])
def test_llama_decodes_one_token_behind_its_cache(mask):
    context = 1000
    report = analyze(f"{LLAMA},phase=decode,context={context}{mask}")
    layer = 2 * H * H + 2 * H * KV * D + 3 * H * F
    assert report.totals["macs"] == L * layer + H * V + L * attention(1, context + 1)
    assert report.graph.kv_cache_bytes == L * 2 * KV * D * context * 4


def test_cache_has_the_dtype_of_the_config_and_the_batch():
    graph = graph_of_spec(f"{LLAMA},phase=decode,context=10,dtype=bfloat16,batch=3")
    assert graph.kv_cache_bytes == 3 * L * 2 * KV * D * 10 * 2
    assert {value.dtype for value in graph.parameters()} == {"bfloat16"}


def test_prefill_leaves_a_cache_of_its_tokens():
    assert graph_of_spec(f"{LLAMA},seq={S}").kv_cache_bytes == L * 2 * KV * D * S * 4
    assert graph_of_spec(f"{BERT},seq={S}").kv_cache_bytes is None


def test_window_of_attention_bounds_the_cache():
    mistral = LLAMA.replace("Llama", "Mistral") + ",sliding_window=16"
    kept = graph_of_spec(f"{mistral},phase=decode,context=100").kv_cache_bytes
    assert kept == L * 2 * KV * D * (16 - 1) * 4


def test_mixtral_runs_the_experts_that_its_router_picks():
    totals = analyze(f"{MIXTRAL},seq={S}").totals
    attended = 2 * H * H + 2 * H * KV * D
    layer = attended + 8 * H + 3 * (3 * H * F)
    assert totals["macs"] == S * (L * layer + H * V) + L * attention(S, S)
    assert totals["params"] == 2 * V * H + L * (attended + 8 * H + 8 * 3 * H * F + 2 * H) + H
    assert totals["active_params"] == totals["params"] - L * (8 - 3) * 3 * H * F


def test_gpt2_is_its_products():
    totals = analyze(f"{GPT2},seq={S}").totals
    layer = 4 * H * H + 2 * H * 4 * H
    assert totals["macs"] == S * (L * layer + H * V) + L * attention(S, S)
    norms_and_biases = 4 * H + (3 + 1 + 4 + 1) * H
    assert totals["params"] == (V + 1024) * H + L * (layer + norms_and_biases) + 2 * H


def test_bert_is_its_products():
    layer = 4 * H * H + 2 * H * F
    expected = S * (L * layer + H * H + H * V) + L * attention(S, S)
    assert analyze(f"{BERT},seq={S}").totals["macs"] == expected


def test_t5_is_its_products_and_decodes_behind_both_caches():
    inner, decoder = HEADS * 8, 3
    own = 4 * H * inner
    encoder = L * (S * (own + 2 * H * F) + attention(S, S, inner))
    decoded = decoder * (S * (2 * own + 2 * H * F) + 2 * attention(S, S, inner))
    assert analyze(f"{T5},seq={S}").totals["macs"] == encoder + decoded + S * H * V
    step = analyze(f"{T5},seq={S},phase=decode,context=30")
    each = own + 2 * H * inner + 2 * H * F + attention(1, 31, inner) + attention(1, S, inner)
    assert step.totals["macs"] == decoder * each + H * V
    assert step.graph.kv_cache_bytes == decoder * 2 * inner * (30 + S) * 4


def test_whisper_is_its_products():
    frames = 50
    convolutions = 2 * frames * 20 * 3 * H + frames * H * 3 * H
    encoder = L * (projections(frames) + 2 * frames * H * F + attention(frames, frames))
    crossed = projections(S, frames) + attention(S, frames)
    decoder = 3 * (projections(S) + attention(S, S) + crossed + 2 * S * H * F)
    expected = convolutions + encoder + decoder + S * H * V
    assert analyze(f"{WHISPER},seq={S}").totals["macs"] == expected


def tower(tokens):
    return L * (projections(tokens) + 2 * tokens * H * F + attention(tokens, tokens))


def test_vit_is_its_products():
    patches = (32 // 8) ** 2
    totals = analyze(VIT).totals
    assert totals["macs"] == patches * 3 * 8 * 8 * H + tower(patches + 1) + H * 10


def test_clip_takes_text_and_image():
    patches, tokens = (32 // 8) ** 2, 77
    seen = patches * 3 * 8 * 8 * H + tower(patches + 1) + H * 40
    assert analyze(CLIP).totals["macs"] == seen + tower(tokens) + H * 40 + 40


def test_llava_takes_the_tokens_of_an_image_and_text():
    patches = (32 // 16) ** 2
    image = patches * 3 * 16 * 16 * H + tower(patches + 1) + 2 * patches * H * H
    layer = projections(patches) + attention(patches, patches) + 3 * patches * H * F
    given = [f"input_ids={patches}:int64=9", "pixel_values=3x32x32"]
    graph = graph_of_spec(LLAVA, given)
    assert analyze(graph).totals["macs"] == image + L * layer + patches * H * V
    assert graph.notes == (LOOKED,)


def test_network_of_transformers_takes_an_example(tmp_path):
    made = "import torch\ndef make():\n    return {'input_ids': torch.ones(2, 7).long()}\n"
    (tmp_path / "ids.py").write_text(made)
    graph = graph_of_spec(LLAMA, [f"example:{tmp_path}/ids.py:make"])
    assert [graph.values[index].shape for index in graph.inputs] == [(2, 7)]


COUNTED = {"llama": f"{LLAMA},seq={S}", "bert": f"{BERT},seq={S}", "t5": f"{T5},seq={S}",
           "vit": VIT, "clip": CLIP, "detr": DETR}  # fmt: skip


@pytest.mark.parametrize("text", COUNTED.values(), ids=COUNTED)
def test_macs_are_half_the_flops_of_torchs_counter(text):
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    source = find(parse_spec(text))
    model, given = source.build_for_real(), {}
    for spec in source.default_inputs(model):
        dtype = getattr(torch, spec.dtype or "float32")
        given[spec.name] = torch.zeros(spec.with_batch(1), dtype=dtype)
    # It does not know the fused kernel of a cpu.
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(**given)
    assert counter.get_total_flops() == 2 * analyze(text).totals["macs"]


def test_config_file_gives_class_dtype_and_sizes(tmp_path):
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": H,
              "intermediate_size": F, "num_hidden_layers": L, "num_attention_heads": HEADS,
              "num_key_value_heads": KV, "vocab_size": V, "dtype": "float16",
              "attn_implementation": "kernels-community/flash-attn"}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    named = analyze(f"{LLAMA},seq={S}").totals
    for text in (f"hf:{tmp_path}", f"hf:{tmp_path}/config.json"):
        totals = analyze(f"{text},seq={S}").totals
        assert (totals["macs"], totals["params"]) == (named["macs"], named["params"])
        assert totals["param_bytes"] == 2 * named["params"]
    fewer = analyze(f"hf:{tmp_path},seq={S},num_hidden_layers=1,task=sequence-classification")
    assert "score" in {module.path for module in fewer.graph.modules}


def test_inputs_are_those_given():
    graph = graph_of_spec("hf:wav2vec2,num_hidden_layers=1,audio=8000,batch=2")
    assert [graph.values[index].shape for index in graph.inputs] == [(2, 8000)]
    graph = graph_of_spec(LLAMA, {"input_ids": "7:int64"})
    assert [graph.values[index].shape for index in graph.inputs] == [(1, 7)]


def test_more_tokens_than_positions_are_said():
    (note,) = graph_of_spec(f"{LLAMA},seq=64,max_position_embeddings=32").notes
    assert "32" in note


def test_step_behind_a_cache_is_no_module_for_others():
    with pytest.raises(BuildError):
        find(parse_spec(f"{LLAMA},phase=decode")).build_for_real()


WRONG = {
    "hf:": SpecError,
    "hf:nowhere/config.json": SpecError,
    "hf:meta-llama/Llama-2-7b": SpecError,
    "hf:nosuch": UnknownModelError,
    "hf:LlamaForCausalML": UnknownModelError,
    "hf:PreTrainedModel": UnknownModelError,
    "hf:AutoModel": UnknownModelError,
    "hf:os": UnknownModelError,
    "hf:bert,task=nonsense": OptionError,
    "hf:bert,task=ctc": OptionError,
    "hf:bert,phase=decode": OptionError,
    f"{LLAMA},task=causal-lm": OptionError,
    f"{LLAMA},hiden_size=3": OptionError,
    f"{LLAMA},hidden_act.x=3": OptionError,
    "hf:LlamaForCausalLM,hidden_size=abc": OptionError,
    "hf:LlamaForCausalLM,hidden_size=-8": ArchstatError,
    "hf:LlamaForCausalLM,hidden_act=nonsense": BuildError,
    "hf:LlamaForCausalLM,num_hidden_layers=1000000000": OptionError,
    "hf:bert,num_labels=1000000000": OptionError,
    "hf:LlamaForCausalLM,hidden_size=1000000000000": BuildError,
    f"{LLAMA},phase=training": OptionError,
    f"{LLAMA},context=9": OptionError,
    f"{LLAMA},seq=0": OptionError,
    f"{LLAMA},mask=perhaps": OptionError,
    f"{LLAMA},resolution=8": InputError,
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_spec_has_one_message(text):
    with pytest.raises(WRONG[text]) as caught:
        graph_of_spec(text)
    assert "\n" not in str(caught.value)


CONTENTS = {
    "not JSON": "{",
    "a list": "[1]",
    "no type": "{}",
    "an unknown type": '{"model_type": "nosuch"}',
    "a type of another kind": '{"model_type": ["llama"]}',
    "code of its own": '{"model_type": "llama", "auto_map": {"AutoModel": "evil.Net"}}',
    "an unknown class": '{"model_type": "llama", "architectures": ["Evil"]}',
    "architectures that are none": '{"model_type": "llama", "architectures": 3}',
    "deep nesting": "[" * 100_000,
    "bytes": "\udcff",
    "values that do not fit": '{"model_type": "llama", "num_attention_heads": "many"}',
}


@pytest.mark.parametrize("content", CONTENTS)
def test_file_that_is_no_config_has_one_message(content, tmp_path):
    file = tmp_path / "config.json"
    file.write_text(CONTENTS[content], encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ArchstatError) as caught:
        graph_of_spec(f"hf:{file}")
    assert "\n" not in str(caught.value)


def test_mixtral_8x7b_has_its_published_parameters():
    totals = analyze("hf:MixtralForCausalLM,num_key_value_heads=8,seq=8").totals
    assert round(totals["params"] / 1e9, 1) == 46.7
    assert round(totals["active_params"] / 1e9, 1) == 12.9
