"""A llama decoder in numpy: forward and backward pass, nothing else.

Parameters carry their GGUF names and shapes. Rotary embedding is the interleaved kind (pairs 2i, 2i+1),
which llama.cpp uses for architecture `llama`, so nothing is permuted at export.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Parameters = Mapping[str, Array]


@dataclass(frozen=True)
class Shape:
    """Sizes of a model. The output head is tied to the embedding."""

    dim: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int = 768
    context: int = 256
    rope_base: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each tensor, rows first."""
        kv_dim = self.kv_heads * self.head_dim
        shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (self.vocabulary, self.dim)}
        for layer in range(self.layers):
            shapes |= {
                f"blk.{layer}.attn_norm.weight": (self.dim,),
                f"blk.{layer}.attn_q.weight": (self.dim, self.dim),
                f"blk.{layer}.attn_k.weight": (kv_dim, self.dim),
                f"blk.{layer}.attn_v.weight": (kv_dim, self.dim),
                f"blk.{layer}.attn_output.weight": (self.dim, self.dim),
                f"blk.{layer}.ffn_norm.weight": (self.dim,),
                f"blk.{layer}.ffn_gate.weight": (self.ffn, self.dim),
                f"blk.{layer}.ffn_up.weight": (self.ffn, self.dim),
                f"blk.{layer}.ffn_down.weight": (self.dim, self.ffn),
            }
        return shapes | {"output_norm.weight": (self.dim,)}


def initial(shape: Shape, seed: int) -> dict[str, NDArray[np.float32]]:
    """N(0, 1/fan_in) for matrices, smaller for those that write into the residual stream, ones for norms."""
    generator = np.random.default_rng(seed)
    weights: dict[str, NDArray[np.float32]] = {}
    for name, size in shape.tensors().items():
        if len(size) == 1:
            weights[name] = np.ones(size, np.float32)
            continue
        deviation = 0.02 if name == "token_embd.weight" else size[1] ** -0.5
        if "attn_output" in name or "ffn_down" in name:
            deviation /= (2 * shape.layers) ** 0.5
        weights[name] = (generator.standard_normal(size) * deviation).astype(np.float32)
    return weights


def hidden(weights: Parameters, shape: Shape, ids: Array) -> tuple[Array, list[dict[str, Array]]]:
    """Final normalised states `[batch, time, dim]` and what the backward pass needs of each layer."""
    rotation = _rotation(shape, ids.shape[1], weights["output_norm.weight"].dtype)
    state = weights["token_embd.weight"][ids]
    saved: list[dict[str, Array]] = []
    for layer in range(shape.layers):
        cache: dict[str, Array] = {}
        state = state + _attention(weights, shape, layer, state, rotation, cache)
        state = state + _feed_forward(weights, shape, layer, state, cache)
        saved.append(cache)
    final, inverse = _norm(state, weights["output_norm.weight"], shape.epsilon)
    saved.append({"input": state, "inverse": inverse})
    return final, saved


def loss_and_gradients(
    weights: Parameters,
    shape: Shape,
    ids: Array,
    targets: Array,
    importance: Array,
    gradients: dict[str, Array],
) -> float:
    """Weighted mean cross entropy; writes the gradient of every tensor into `gradients`.

    The head is computed only where `importance` is not zero, which is a quarter of the positions.
    """
    final, saved = hidden(weights, shape, ids)
    flat = final.reshape(-1, shape.dim)
    chosen = np.flatnonzero(importance.reshape(-1))
    share = importance.reshape(-1)[chosen] / importance.sum()
    states = flat[chosen]
    embedding = weights["token_embd.weight"]
    logits = states @ embedding.T
    logits -= logits.max(axis=1, keepdims=True)
    probabilities = np.exp(logits)
    total = probabilities.sum(axis=1, keepdims=True)
    answer = targets.reshape(-1)[chosen]
    lines = np.arange(len(chosen))
    loss = float((share * (np.log(total[:, 0]) - logits[lines, answer])).sum())
    probabilities /= total
    probabilities[lines, answer] -= 1
    probabilities *= share[:, None]
    upstream = np.zeros_like(flat)
    upstream[chosen] = probabilities @ embedding
    _backward(weights, shape, ids, saved, upstream.reshape(final.shape), gradients)
    gradients["token_embd.weight"] += probabilities.T @ states
    return loss


def _backward(
    weights: Parameters,
    shape: Shape,
    ids: Array,
    saved: list[dict[str, Array]],
    upstream: Array,
    gradients: dict[str, Array],
) -> None:
    last = saved[-1]
    flow = _norm_backward(
        upstream,
        last["input"],
        last["inverse"],
        weights["output_norm.weight"],
        gradients["output_norm.weight"],
    )
    rotation = _rotation(shape, ids.shape[1], flow.dtype)
    for layer in reversed(range(shape.layers)):
        flow = flow + _feed_forward_backward(weights, layer, flow, saved[layer], gradients)
        flow = flow + _attention_backward(weights, shape, layer, flow, rotation, saved[layer], gradients)
    embedding = gradients["token_embd.weight"]
    embedding[...] = 0
    np.add.at(embedding, ids.reshape(-1), flow.reshape(-1, shape.dim))


def _attention(
    weights: Parameters,
    shape: Shape,
    layer: int,
    state: Array,
    rotation: tuple[Array, Array],
    cache: dict[str, Array],
) -> Array:
    at = f"blk.{layer}."
    normal, inverse = _norm(state, weights[at + "attn_norm.weight"], shape.epsilon)
    query = _rotate(_split(_project(normal, weights[at + "attn_q.weight"].T), shape.heads), rotation)
    key = _rotate(_split(_project(normal, weights[at + "attn_k.weight"].T), shape.kv_heads), rotation)
    value = _split(_project(normal, weights[at + "attn_v.weight"].T), shape.kv_heads)
    grouped = _group(query, shape.kv_heads)
    scores = grouped @ key[:, :, None].swapaxes(-1, -2)
    scores *= shape.head_dim**-0.5
    time = state.shape[1]
    scores[..., np.triu(np.ones((time, time), bool), 1)] = -np.inf
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed = _join((scores @ value[:, :, None]).reshape(query.shape))
    cache |= {
        "attention_input": state,
        "attention_inverse": inverse,
        "attention_normal": normal,
        "query": query,
        "key": key,
        "value": value,
        "attention": scores,
        "mixed": mixed,
    }
    return _project(mixed, weights[at + "attn_output.weight"].T)


def _attention_backward(
    weights: Parameters,
    shape: Shape,
    layer: int,
    upstream: Array,
    rotation: tuple[Array, Array],
    cache: dict[str, Array],
    gradients: dict[str, Array],
) -> Array:
    at = f"blk.{layer}."
    query, key, value, attention = cache["query"], cache["key"], cache["value"], cache["attention"]
    _outer(gradients[at + "attn_output.weight"], upstream, cache["mixed"])
    mixed = _group(
        _split(_project(upstream, weights[at + "attn_output.weight"]), shape.heads), shape.kv_heads
    )
    d_value = (attention.swapaxes(-1, -2) @ mixed).sum(axis=2)
    d_scores = mixed @ value[:, :, None].swapaxes(-1, -2)
    d_scores -= (d_scores * attention).sum(axis=-1, keepdims=True)
    d_scores *= attention
    d_scores *= shape.head_dim**-0.5
    d_query = (d_scores @ key[:, :, None]).reshape(query.shape)
    d_key = (d_scores.swapaxes(-1, -2) @ _group(query, shape.kv_heads)).sum(axis=2)
    back = (rotation[0], -rotation[1])
    flow = np.zeros_like(upstream)
    normal = cache["attention_normal"]
    parts = (("q", _rotate(d_query, back)), ("k", _rotate(d_key, back)), ("v", d_value))
    for letter, part in parts:
        name = f"{at}attn_{letter}.weight"
        joined = _join(part)
        _outer(gradients[name], joined, normal)
        flow += _project(joined, weights[name])
    name = at + "attn_norm.weight"
    return _norm_backward(
        flow, cache["attention_input"], cache["attention_inverse"], weights[name], gradients[name]
    )


def _feed_forward(
    weights: Parameters, shape: Shape, layer: int, state: Array, cache: dict[str, Array]
) -> Array:
    at = f"blk.{layer}."
    normal, inverse = _norm(state, weights[at + "ffn_norm.weight"], shape.epsilon)
    gate = _project(normal, weights[at + "ffn_gate.weight"].T)
    up = _project(normal, weights[at + "ffn_up.weight"].T)
    sigmoid = 1 / (1 + np.exp(-gate))
    product = gate * sigmoid * up
    cache |= {
        "ffn_input": state,
        "ffn_inverse": inverse,
        "ffn_normal": normal,
        "gate": gate,
        "up": up,
        "sigmoid": sigmoid,
        "product": product,
    }
    return _project(product, weights[at + "ffn_down.weight"].T)


def _feed_forward_backward(
    weights: Parameters, layer: int, upstream: Array, cache: dict[str, Array], gradients: dict[str, Array]
) -> Array:
    at = f"blk.{layer}."
    gate, sigmoid, normal = cache["gate"], cache["sigmoid"], cache["ffn_normal"]
    _outer(gradients[at + "ffn_down.weight"], upstream, cache["product"])
    d_product = _project(upstream, weights[at + "ffn_down.weight"])
    d_up = d_product * gate * sigmoid
    d_gate = d_product * cache["up"] * sigmoid * (1 + gate * (1 - sigmoid))
    _outer(gradients[at + "ffn_gate.weight"], d_gate, normal)
    _outer(gradients[at + "ffn_up.weight"], d_up, normal)
    flow = _project(d_gate, weights[at + "ffn_gate.weight"]) + _project(d_up, weights[at + "ffn_up.weight"])
    name = at + "ffn_norm.weight"
    return _norm_backward(flow, cache["ffn_input"], cache["ffn_inverse"], weights[name], gradients[name])


def _norm(state: Array, gain: Array, epsilon: float) -> tuple[Array, Array]:
    inverse = 1 / np.sqrt((state * state).mean(axis=-1, keepdims=True) + epsilon)
    return state * inverse * gain, inverse


def _norm_backward(upstream: Array, state: Array, inverse: Array, gain: Array, d_gain: Array) -> Array:
    unit = state * inverse
    d_gain[...] = (upstream * unit).reshape(-1, d_gain.size).sum(axis=0)
    flow = upstream * gain
    return inverse * (flow - unit * (flow * unit).mean(axis=-1, keepdims=True))


def _rotation(shape: Shape, time: int, kind: Any) -> tuple[Array, Array]:
    frequency = shape.rope_base ** (-np.arange(0, shape.head_dim, 2) / shape.head_dim)
    angle = np.arange(time)[:, None] * frequency
    return np.cos(angle).astype(kind), np.sin(angle).astype(kind)


def _rotate(vectors: Array, rotation: tuple[Array, Array]) -> Array:
    cosine, sine = rotation
    even, odd = vectors[..., 0::2], vectors[..., 1::2]
    turned = np.empty_like(vectors)
    turned[..., 0::2] = even * cosine - odd * sine
    turned[..., 1::2] = even * sine + odd * cosine
    return turned


def _split(states: Array, heads: int) -> Array:
    """`[batch, time, heads * d]` to `[batch, heads, time, d]`."""
    batch, time, width = states.shape
    return states.reshape(batch, time, heads, width // heads).transpose(0, 2, 1, 3)


def _group(vectors: Array, kv_heads: int) -> Array:
    """`[batch, heads, time, d]` to `[batch, kv_heads, heads per kv head, time, d]`."""
    batch, heads, time, width = vectors.shape
    return vectors.reshape(batch, kv_heads, heads // kv_heads, time, width)


def _join(vectors: Array) -> Array:
    batch, heads, time, width = vectors.shape
    return vectors.transpose(0, 2, 1, 3).reshape(batch, time, heads * width)


def _project(states: Array, matrix: Array) -> Array:
    """`states @ matrix` as one product: numpy would multiply each row of the batch by itself."""
    return (states.reshape(-1, states.shape[-1]) @ matrix).reshape(*states.shape[:-1], matrix.shape[1])


def _outer(gradient: Array, upstream: Array, state: Array) -> None:
    gradient[...] = upstream.reshape(-1, upstream.shape[-1]).T @ state.reshape(-1, state.shape[-1])
