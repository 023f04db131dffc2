"""What of an interface's description would break a program that was written against an older one."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
#: Problems may be told in more ways, and any program must expect them; these statuses carry what was asked for.
_SUCCESS = ("2", "3")


def breaks(old: Schema, new: Schema) -> list[str]:
    """Operations, statuses, parameters and fields that are gone or narrower, each in a sentence."""
    found: list[str] = []
    for path, methods in old["paths"].items():
        for method, before in methods.items():
            place = f"{method.upper()} {path}"
            after = new["paths"].get(path, {}).get(method)
            if after is None:
                found.append(f"{place}: the operation is gone")
                continue
            found += [f"{place}: {text}" for text in _operation(old, new, before, after)]
    return found


def _operation(old: Schema, new: Schema, before: Schema, after: Schema) -> list[str]:
    found = _parameters(before, after)
    for status, answer in before["responses"].items():
        if status not in after["responses"]:
            found.append(f"status {status} is gone")
        elif status[0] in _SUCCESS:
            found += [f"answer {status}: {text}" for text in _answers(old, new, answer, after["responses"][status])]
    if "requestBody" in before:
        found += _bodies(old, new, before["requestBody"], after.get("requestBody", {}))
    elif after.get("requestBody", {}).get("required"):
        found.append("a body is needed now")
    return found


def _parameters(before: Schema, after: Schema) -> list[str]:
    was = {(each["in"], each["name"]): each for each in before.get("parameters", [])}
    now = {(each["in"], each["name"]): each for each in after.get("parameters", [])}
    found = [f"the parameter {name} is gone" for place, name in was if (place, name) not in now]
    for key, each in now.items():
        if each.get("required") and not was.get(key, {}).get("required"):
            found.append(f"the parameter {key[1]} is required now")
    for key in set(was) & set(now):
        found += [f"the parameter {key[1]}: {text}" for text in _narrower(was[key]["schema"], now[key]["schema"])]
    return found


def _bodies(old: Schema, new: Schema, before: Schema, after: Schema) -> list[str]:
    found = []
    for media, was in before["content"].items():
        if media not in after.get("content", {}):
            found.append(f"a body of {media} is no longer taken")
            continue
        found += _request(old, new, was["schema"], after["content"][media]["schema"], "")
    return found


def _answers(old: Schema, new: Schema, before: Schema, after: Schema) -> list[str]:
    found = []
    for media, was in before.get("content", {}).items():
        if media not in after.get("content", {}):
            found.append(f"{media} is no longer answered")
            continue
        found += _response(old, new, was["schema"], after["content"][media]["schema"], "", ())
    return found


def _request(old: Schema, new: Schema, before: Schema, after: Schema, place: str) -> list[str]:
    """What was sent must still be taken: no field gone, none required that was not, no value refused."""
    was, now = _whole(old, before), _whole(new, after)
    found = [f"the field {place}{name} is no longer taken" for name in _gone(was, now)]
    for name in now.get("required", []):
        if name not in was.get("required", []):
            found.append(f"the field {place}{name} is required now")
    for name, part in was.get("properties", {}).items():
        other = now.get("properties", {}).get(name)
        if other is None:
            continue
        found += [f"the field {place}{name}: {text}" for text in _narrower(_whole(old, part), _whole(new, other))]
    return found


def _response(old: Schema, new: Schema, before: Schema, after: Schema, place: str, seen: tuple[str, ...]) -> list[str]:
    """What was read must still be there: no field gone or optional, no type that was not."""
    name = before.get("$ref", "")
    if name and name in seen:
        return []
    seen = (*seen, name) if name else seen
    was, now = _whole(old, before), _whole(new, after)
    found = [f"the field {place}{gone} is gone" for gone in _gone(was, now)]
    for needed in was.get("required", []):
        if needed in now.get("properties", {}) and needed not in now.get("required", []):
            found.append(f"the field {place}{needed} may be missing now")
    wider = _types(now) - _types(was)
    if _types(was) and wider:
        found.append(f"{place.rstrip('.') or 'the answer'} may be {', '.join(sorted(wider))} now")
    for key, part in was.get("properties", {}).items():
        if key in now.get("properties", {}):
            found += _response(old, new, part, now["properties"][key], f"{place}{key}.", seen)
    if "items" in was and "items" in now:
        found += _response(old, new, was["items"], now["items"], place, seen)
    return found


def _gone(was: Schema, now: Schema) -> list[str]:
    return [name for name in was.get("properties", {}) if name not in now.get("properties", {})]


def _narrower(was: Schema, now: Schema) -> list[str]:
    """Values that were taken and are not."""
    found = []
    if _types(now) and _types(was) - _types(now):
        found.append(f"{', '.join(sorted(_types(was) - _types(now)))} is no longer taken")
    if "enum" in now and (lost := [value for value in was.get("enum", []) if value not in now["enum"]]):
        found.append(f"{', '.join(map(str, lost))} is no longer taken")
    if "enum" in now and "enum" not in was:
        found.append("only some values are taken now")
    for limit, sign in (("maximum", -1), ("maxLength", -1), ("maxItems", -1), ("minimum", 1), ("minLength", 1)):
        if limit in now and sign * now[limit] > sign * was.get(limit, -sign * float("inf")):
            found.append(f"{limit} is {now[limit]} now")
    return found


def _types(schema: Schema) -> set[str]:
    kinds = schema.get("type", [])
    found = {kinds} if isinstance(kinds, str) else set(kinds)
    return found | {"number"} if "integer" in found and "number" in found else found


def _whole(document: Schema, schema: Schema) -> Schema:
    """A schema with its reference looked up."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if not name and len(schema.get("allOf", [])) == 1:
        return _whole(document, schema["allOf"][0])
    return dict(document["components"]["schemas"][name]) if name else schema
