"""`cnet bench --comfyui` in short: that every way runs; times are for people to read."""

import json

from host import Host

from cnet_core.cli import main

#: Of Advanced-ControlNet too, where it is there.
WAYS = {
    "no control",
    "encoder and middle, all rows",
    "encoder and middle, cond rows",
    "both",
    "cond only",
    "ComfyUI: both",
    "ComfyUI: on the positive alone",
}


def test_whole_prompts_are_measured_in_every_way(comfy: Host, capsys) -> None:
    where = ["--comfyui", str(comfy.place.comfyui), "--comfyui-python", comfy.place.python]
    assert main(["bench", "--short", "--rounds", "1", "--json", *where]) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert set(table["rows"]) >= WAYS
    assert all(row["least s"] > 0 for row in table["rows"].values())
