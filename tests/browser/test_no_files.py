"""What a person sees who has no ControlNet file yet."""

import pytest
from front import Front
from host import Failed
from single import alone

ENTRY = "(no file in models/controlnet)"


@pytest.mark.parametrize("kind", ["LoadControlNet", "IdentifyControlNet"])
def test_the_list_of_files_says_where_to_put_one(front: Front, kind: str) -> None:
    front.load(alone(kind, front.host.info, {}), kind)
    assert front.values(kind)["control_net_name"] == ENTRY


def test_a_run_without_a_file_says_what_to_do(front: Front) -> None:
    front.load(alone("IdentifyControlNet", front.host.info, {}), "IdentifyControlNet")
    with pytest.raises(Failed, match="put a file into models/controlnet, press R"):
        front.host.run(front.prompt())
