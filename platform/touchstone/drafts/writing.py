"""A draft as the files of a bundle: competition.yml in the order of its documentation, pages, and what was uploaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from runners.spec.models import CompetitionSpec
from runners.spec.yamlfile import parse_yaml
from touchstone.competitions.writer import SPEC_FILE, Entry, blob_entry, text_entry
from touchstone.drafts.datacard import card_markdown, card_parse
from touchstone.drafts.models import Draft, DraftSection
from touchstone.drafts.reading import BUNDLE
from touchstone.drafts.sections import DATA_CARD, KIT, TERMS, competition_data, page_file
from touchstone.drafts.selectors import bundle_files, draft_bodies
from touchstone.drafts.yamltext import yaml_text

_NOTHING: tuple[object, ...] = ("", None, [], {})


def draft_entries(*, draft: Draft) -> Iterator[Entry]:
    """The bundle that a draft is, sound or not. Of one that was not changed, what it came from, byte for byte."""
    bodies = draft_bodies(draft=draft)
    bundle = _bundle(draft)
    names: Mapping[str, str] = bundle.get("names", {})
    files = bundle_files(draft=draft)
    card = _card(bodies["data"].get("data_card"), bundle.get("card", ""))
    data = competition_data(bodies=bodies, files={file.path: file.sha256 for file in files})
    if card:
        data["data_card"] = DATA_CARD
    else:
        data.pop("data_card", None)
    if bundle.get("empty_kit"):
        data.setdefault("starting_kit", KIT)
    data = ordered(_renamed(data, names))
    yield text_entry(SPEC_FILE, _source(data, bundle.get("source", "")))
    for ours, entry in _texts(bodies, card):
        yield _placed(ours, entry, names)
    for file in files:
        yield _placed(file.path, blob_entry(file.path, file.sha256, file.size), names)
    if bundle.get("empty_kit") and data["starting_kit"]:
        yield Entry(data["starting_kit"])


def ordered(data: Mapping[str, Any]) -> dict[str, Any]:
    """Keys in the order of the documentation, unknown ones last; what says nothing or the default is left out."""
    known = list(CompetitionSpec.model_fields)
    keys = [key for key in known if key in data] + [key for key in data if key not in known]
    needed = {name for name, field in CompetitionSpec.model_fields.items() if field.is_required()}
    silent = [key for key in keys if data[key] in _NOTHING or data[key] == _DEFAULTS.get(key)]
    return {key: data[key] for key in keys if key in needed or key not in silent}


_DEFAULTS: dict[str, Any] = {"teams": {"members": 1}, "access": {"approval": False, "email_domains": []}}


def _bundle(draft: Draft) -> dict[str, Any]:
    found = DraftSection.objects.filter(draft=draft, name=BUNDLE).values_list("body", flat=True).first()
    return found or {}


def _source(data: dict[str, Any], original: str) -> str:
    """The original where it says the same: its comments and its layout are somebody's work."""
    there = parse_yaml(original, file=SPEC_FILE).data if original else None
    if isinstance(there, dict) and _typed(there) is not None and _typed(there) == _typed(data):
        return original
    return yaml_text(data, file=SPEC_FILE)


def _typed(data: dict[str, Any]) -> CompetitionSpec | None:
    try:
        return CompetitionSpec.model_validate_json(json.dumps(data), strict=True)
    except ValidationError:
        return None


def _card(card: object, original: str) -> str:
    found = {key: text for key, text in card.items() if isinstance(text, str)} if isinstance(card, dict) else {}
    return original if original and card_parse(original) == found else card_markdown(found)


def _texts(bodies: Mapping[str, Mapping[str, Any]], card: str) -> Iterator[tuple[str, Entry]]:
    about = bodies["about"]
    pages = about.get("pages")
    for page in pages if isinstance(pages, list) else []:
        if isinstance(page, dict):
            ours = page_file(page.get("slug", ""))
            yield ours, text_entry(ours, str(page.get("markdown") or ""))
    if about.get("terms"):
        yield TERMS, text_entry(TERMS, str(about["terms"]))
    if card:
        yield DATA_CARD, text_entry(DATA_CARD, card)


def _renamed(data: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The same with files and folders called as they were where they came from."""
    made = dict(data)
    for key in ("terms", "data_card", "starting_kit", "image"):
        if key in made:
            made[key] = _called(made[key], names)
    made["pages"] = [
        page | {"file": _called(page["file"], names)} if isinstance(page, dict) else page
        for page in made.get("pages", [])
    ]
    made["data"] = {
        name: split | {"path": _called(split["path"], names)} for name, split in made.get("data", {}).items()
    }
    if "surrogates" in made:
        made["surrogates"] = {name: _called(path, names) for name, path in made["surrogates"].items()}
    return made


def _called(ours: str, names: Mapping[str, str]) -> str:
    """What a file or folder of the draft is called in the bundle: no two the same."""
    if ours in names:
        return names[ours]
    parent = next((key for key in names if ours.startswith(f"{key}/")), "")
    if parent:
        return f"{names[parent]}/{ours[len(parent) + 1 :]}"
    return f"new/{ours}" if ours in names.values() else ours


def _placed(ours: str, entry: Entry, names: Mapping[str, str]) -> Entry:
    """The entry under the name that competition.yml has for it."""
    return replace(entry, path=text_entry(_called(ours, names), "").path)
