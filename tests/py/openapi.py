"""Reads an OpenAPI document from stdin; prints what is wrong with it, as a JSON list of texts."""

import json
import sys

from openapi_spec_validator import OpenAPIV31SpecValidator


def place(error):
    return "/".join(str(part) for part in error.absolute_path)


def references(node, where):
    """Every `$ref`, with its place."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield where, node["$ref"]
        for name, inner in node.items():
            yield from references(inner, f"{where}/{name}")
    elif isinstance(node, list):
        for i, inner in enumerate(node):
            yield from references(inner, f"{where}/{i}")


def leads_somewhere(document, reference):
    node = document
    for part in reference.removeprefix("#/").split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


document = json.load(sys.stdin)
wrong = [f"{where}: {to} is not there" for where, to in references(document, "") if not leads_somewhere(document, to)]
if not wrong:
    wrong = [f"{place(error)}: {error.message[:300]}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
print(json.dumps(wrong))
