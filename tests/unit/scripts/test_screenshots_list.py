"""The list of pictures: twenty, each once; number 18 is two."""

from scripts.screenshots.pictures import PICTURES
from scripts.screenshots.terminals import TERMINALS


def test_there_are_twenty_and_each_is_taken_once() -> None:
    names = [picture.name for picture in PICTURES] + [row[0] for row in TERMINALS]

    assert len(set(names)) == len(names) == 21
    assert {name[:2] for name in names} == {f"{number:02}" for number in range(1, 21)}
    assert all(picture.path.startswith("/") and picture.what for picture in PICTURES)
