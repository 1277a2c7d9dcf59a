"""A short long use; `tests/comfy/run_long_use.py` makes it as long as one likes, with a plot."""

import torch
from host import Host
from long_use import fresh, prompts, run_all

COUNT = 20


def test_prompts_of_all_kinds_one_behind_the_other_give_what_a_fresh_server_gives(
    comfy: Host,
) -> None:
    found, looks = run_all(comfy, list(prompts(COUNT)))
    assert [look["stacks"] for look in looks] == [0] * len(looks)
    assert len(found) >= COUNT // 2
    for prompt, latents in list(found.items())[:4]:
        assert torch.equal(fresh(comfy, prompt), latents), prompt.name
