"""What a draft is made of: nine steps, what is in each before anybody wrote anything, and competition.yml from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any

#: The steps of the wizard, in order. Each is one section of the draft.
STEPS = ("about", "concepts", "data", "task", "metrics", "boards", "phases", "rules", "people")

_DEFAULTS: dict[str, dict[str, Any]] = {
    "about": {
        "slug": "", "title": "", "summary": "", "visibility": "private", "licence": "", "pages": [], "terms": "",
        "image": "",
    },
    "concepts": {"concepts": []},
    "data": {"splits": [], "data_card": {}},
    "task": {"task": {"kind": "binary", "classes": []}, "input": None, "attributes": {}, "aggregate": None},
    "metrics": {"metrics": []},
    "boards": {"leaderboards": []},
    "phases": {"phases": []},
    "rules": {"submission": {"kinds": ["predictions"], "resources": {}}, "teams": {"members": 1}},
    "people": {"access": {"approval": False, "email_domains": []}},
}  # fmt: skip

#: Keys of competition.yml that each step fills.
KEYS: dict[str, tuple[str, ...]] = {
    "about": ("slug", "title", "summary", "visibility", "licence", "pages", "terms", "image", "touchstone"),
    "concepts": ("concepts",),
    "data": ("data", "data_card", "starting_kit", "surrogates"),
    "task": ("task", "input", "attributes", "aggregate"),
    "metrics": ("metrics",),
    "boards": ("leaderboards",),
    "phases": ("phases",),
    "rules": ("submission", "teams"),
    "people": ("access",),
}

#: Where the files of a bundle lie that a draft writes.
TERMS, DATA_CARD, KIT, SURROGATES, IMAGES = "terms.md", "data_card.md", "starting_kit", "surrogates", "image"


def section_default(name: str) -> dict[str, Any]:
    """The body of a section that nobody has saved yet."""
    return deepcopy(_DEFAULTS[name])


def page_file(slug: object) -> str:
    """Where the Markdown of a page lies in the bundle."""
    return f"pages/{slug}.md"


def competition_data(*, bodies: Mapping[str, Mapping[str, Any]], files: Mapping[str, str]) -> dict[str, Any]:
    """competition.yml as plain data, sound or not yet. `bodies`: the nine sections; `files`: path → SHA-256."""
    about, data, task, rules = bodies["about"], bodies["data"], bodies["task"], bodies["rules"]
    made: dict[str, Any] = {"touchstone": 1}
    made |= {key: about.get(key, "") for key in ("slug", "title", "summary", "visibility", "licence")}
    made["pages"] = [_page(page) for page in _list(about.get("pages"))]
    if about.get("terms"):
        made["terms"] = TERMS
    if any(text_of(value) for value in _dict(data.get("data_card")).values()):
        made["data_card"] = DATA_CARD
    made |= _from_files(files, str(about.get("image") or ""))
    made |= {key: task[key] for key in ("task", "input", "attributes", "aggregate") if task.get(key) is not None}
    made["concepts"] = bodies["concepts"].get("concepts", [])
    made["data"] = {
        str(split.get("name", "")): {
            "path": f"data/{split.get('name', '')}",
            "visibility": split.get("visibility"),
            **({"leaves_platform": True} if split.get("leaves_platform") is True else {}),
        }
        for split in _list(data.get("splits"))
        if isinstance(split, dict)
    }
    made["submission"], made["teams"] = rules.get("submission", {}), rules.get("teams", {})
    made["access"] = bodies["people"].get("access", {})
    made["phases"] = bodies["phases"].get("phases", [])
    made["metrics"] = bodies["metrics"].get("metrics", [])
    made["leaderboards"] = bodies["boards"].get("leaderboards", [])
    return made


def used_files(*, bodies: Mapping[str, Mapping[str, Any]], files: Collection[str]) -> list[str]:
    """Paths of those files that belong into the bundle: of images, the present one; of splits, those there are."""
    image = image_stem(str(bodies["about"].get("image") or ""))
    splits = {str(split.get("name")) for split in _list(bodies["data"].get("splits")) if isinstance(split, dict)}
    kept = []
    for path in files:
        first, _slash, rest = path.partition("/")
        if first == IMAGES and not (image and path.startswith(f"{image}.")):
            continue
        if first == "data" and rest.partition("/")[0] not in splits:
            continue
        kept.append(path)
    return sorted(kept)


def image_stem(sha256: str) -> str:
    """Where an image lies in the bundle, without its ending; nothing where there is none."""
    return f"{IMAGES}/{sha256[:12]}" if sha256 else ""


def _from_files(files: Mapping[str, str], image: str) -> dict[str, Any]:
    """Keys that follow from files alone: the image, the starting kit, the surrogates."""
    made: dict[str, Any] = {}
    stem = image_stem(image)
    found = next((path for path in files if stem and path.startswith(f"{stem}.")), "")
    if found:
        made["image"] = found
    if any(path.startswith(f"{KIT}/") for path in files):
        made["starting_kit"] = KIT
    surrogates = {
        path.removeprefix(f"{SURROGATES}/").removesuffix(".onnx"): path
        for path in sorted(files)
        if path.startswith(f"{SURROGATES}/") and path.endswith(".onnx")
    }
    return made | ({"surrogates": surrogates} if surrogates else {})


def _page(page: object) -> object:
    if not isinstance(page, dict):
        return page
    return {"slug": page.get("slug", ""), "title": page.get("title", ""), "file": page_file(page.get("slug", ""))}


def text_of(value: object) -> str:
    """A text without the space around it; nothing for what is no text."""
    return value.strip() if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
