"""The digest over tensors: equal for copies with other metadata, and for nothing else."""

import io
from dataclasses import replace

import pytest

from tests.unit.gguf.writer import STRING, U32, tiny_llama
from tidegate.gguf import tensor_digest

TINY = tiny_llama()
NAME = "blk.0.ffn_down.weight"


def digest(content: bytes) -> str | None:
    return tensor_digest(io.BytesIO(content))


SOUND = digest(TINY.encode())


@pytest.mark.parametrize(
    "copy",
    [
        TINY.with_pair("general.name", STRING, "another name"),
        TINY.with_pair("tokenizer.chat_template", STRING, "{{ messages }}"),
        replace(TINY, tensors=tuple(reversed(TINY.tensors))),
        replace(TINY, tail=b"\0" * 64),
    ],
    ids=["a name", "a template", "another order", "more at its end"],
)
def test_a_copy_with_other_metadata_order_or_end_has_the_same_one(copy):
    assert copy.encode() != TINY.encode()
    assert SOUND is not None
    assert digest(copy.encode()) == SOUND


def test_other_data_another_name_or_another_shape_has_another_one():
    down = next(tensor for tensor in TINY.tensors if tensor.name == NAME)
    others = [
        TINY.with_tensor(NAME, data=bytes([down.data[0] ^ 1]) + down.data[1:]),
        replace(
            TINY,
            tensors=tuple(
                replace(one, name="blk.0.other.weight") if one.name == NAME else one for one in TINY.tensors
            ),
        ),
        TINY.with_tensor(NAME, dims=tuple(reversed(down.dims))),
    ]
    found = [digest(other.encode()) for other in others]
    assert None not in found
    assert len({SOUND, *found}) == len(others) + 1


def test_what_is_no_sound_file_has_none():
    content = TINY.encode()
    assert digest(b"") is None
    assert digest(b"not a model at all") is None
    assert digest(content[:-200]) is None
    assert digest(TINY.with_pair("general.alignment", U32, 0).encode()) is None
