"""Tiny random models of the families that people train: their configs, two or more layers, hidden size 64."""

from transformers import AutoConfig

COMMON = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2,
}  # fmt: skip
HEADS = {**COMMON, "head_dim": 16}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
VISION = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}

FAMILIES = {
    "llama": HEADS,
    "mistral": {**HEADS, "sliding_window": 8},
    "qwen2": COMMON,
    "qwen3": HEADS,
    "gemma": HEADS,
    "gemma2": {**HEADS, "sliding_window": 8, "query_pre_attn_scalar": 16},
    "gemma3_text": {**HEADS, "sliding_window": 8, "query_pre_attn_scalar": 16},
    "gemma3": {
        "text_config": {**HEADS, "sliding_window": 8, "query_pre_attn_scalar": 16},
        "vision_config": {**VISION, "image_size": 28, "patch_size": 14}, "mm_tokens_per_image": 4,
        "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2,
    },
    "gemma3n_text": {
        **HEADS, "sliding_window": 8, "vocab_size_per_layer_input": 512, "hidden_size_per_layer_input": 8,
        "num_kv_shared_layers": 0, "laurel_rank": 4, "layer_types": ["sliding_attention", "full_attention"],
        "activation_sparsity_pattern": [0.0, 0.0], "intermediate_size": [96, 96],
    },
    "smollm3": {**COMMON, "no_rope_layers": [1, 0]},
    "phi": COMMON,
    "phi3": COMMON,
    "gpt_neox": COMMON,
    "olmo": {**COMMON, "clip_qkv": 0.5},
    "olmo2": COMMON,
    "olmo3": {**COMMON, "sliding_window": 8},
    "granite": {**COMMON, "logits_scaling": 4.0, "embedding_multiplier": 3.0, "residual_multiplier": 0.5},
    "cohere": COMMON,
    "cohere2": {**HEADS, "sliding_window": 8},
    "glm4": HEADS,
    "starcoder2": COMMON,
    "stablelm": COMMON,
    "gptj": {
        "vocab_size": 512, "n_embd": 64, "n_layer": 2, "n_head": 4, "rotary_dim": 8, "n_positions": 256,
        "eos_token_id": 1, "bos_token_id": 2,
    },
    "bloom": {"vocab_size": 512, "hidden_size": 64, "n_layer": 2, "n_head": 4, "eos_token_id": 1, "bos_token_id": 2},
    "gpt2": {"vocab_size": 512, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256, "eos_token_id": 1},
    "gpt_neo": {
        "vocab_size": 512, "hidden_size": 64, "num_layers": 2, "num_heads": 4, "attention_types": [[["global"], 2]],
        "max_position_embeddings": 256, "eos_token_id": 1,
    },
    "opt": {**COMMON, "ffn_dim": 96, "word_embed_proj_dim": 64},
    "falcon": {**COMMON, "new_decoder_architecture": False, "multi_query": True},
    "exaone4": {**HEADS, "sliding_window": 8},
    "nemotron": HEADS,
    "seed_oss": HEADS,
    "helium": HEADS,
    "ministral3": HEADS,
    "gemma4_text": {**HEADS, "sliding_window": 8},
    "qwen3_5_text": {
        **HEADS, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16,
        "linear_value_head_dim": 16, "layer_types": ["linear_attention", "full_attention"],
    },
    "lfm2": {**COMMON, "layer_types": ["conv", "full_attention"], "block_multiple_of": 8},
    "falcon_h1": {**HEADS, "mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_state": 16, "mamba_n_groups": 1},
    "mamba": {"vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 2, "state_size": 8, "eos_token_id": 1},
    "mixtral": {**COMMON, **EXPERTS},
    "qwen3_moe": {**HEADS, **EXPERTS},
    "olmoe": {**COMMON, **EXPERTS},
    "gpt_oss": {**HEADS, **EXPERTS, "sliding_window": 8},
    "llama4_text": {**HEADS, **EXPERTS, "intermediate_size_mlp": 96},
    "mistral3": {
        "text_config": {**HEADS, "model_type": "mistral"}, "spatial_merge_size": 1,
        "vision_config": {**VISION, "model_type": "pixtral", "head_dim": 16, "image_size": 28, "patch_size": 14},
    },
    "qwen2_5_vl": {
        "text_config": {**COMMON, "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]}},
        "vision_config": {"depth": 1, "hidden_size": 32, "num_heads": 2, "intermediate_size": 32, "out_hidden_size": 64},
    },
}  # fmt: skip


def config_of(name):
    """The config of a family."""
    return AutoConfig.for_model(name, **FAMILIES[name])
