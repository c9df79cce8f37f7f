"""Google's API descriptions as JSON Schemas."""

import json
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

_KEPT = ("type", "enum", "items", "minimum", "maximum")


def schema_of(folder: Path, api: str, name: str) -> Schema:
    """The schema `name` of an API such as "compute.v1"; `folder` holds Google's client.

    A field that is not described is refused.
    """
    documents = folder / "googleapiclient" / "discovery_cache" / "documents"
    described = json.loads((documents / f"{api}.json").read_text("utf-8"))["schemas"]
    wanted, known = [name], {}
    while wanted:
        each = wanted.pop()
        if each not in known:
            known[each] = _converted(described[each], wanted)
    return {"$ref": f"#/$defs/{name}", "$defs": known}


def _converted(described: Schema, wanted: list[str]) -> Schema:
    if "$ref" in described:
        wanted.append(described["$ref"])
        return {"$ref": f"#/$defs/{described['$ref']}"}
    schema = {key: described[key] for key in _KEPT if key in described}
    if "items" in described:
        schema["items"] = _converted(described["items"], wanted)
    if "properties" in described:
        schema["properties"] = {
            name: _converted(field, wanted) for name, field in described["properties"].items()
        }
        schema["additionalProperties"] = False
    elif "additionalProperties" in described:
        schema["additionalProperties"] = _converted(described["additionalProperties"], wanted)
    return schema
