"""The list of pictures: twenty, each once."""

from scripts.screenshots.pictures import PICTURES
from scripts.screenshots.terminals import TERMINALS


def test_there_are_twenty_and_each_is_taken_once() -> None:
    names = [picture.name for picture in PICTURES] + [row[0] for row in TERMINALS]

    assert sorted(name[:2] for name in names) == [f"{number:02}" for number in range(1, 21)]
    assert all(picture.path.startswith("/") and picture.what for picture in PICTURES)
