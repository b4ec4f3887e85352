"""Links of callers: what they name, and what of them is shown."""

from __future__ import annotations

import re
import uuid
from pathlib import PurePosixPath
from urllib.parse import urlsplit

HIDDEN = "?…"


def id_in_link(link: str) -> str:
    """The UUID that is the file name of a link, or an empty text."""
    stem = PurePosixPath(urlsplit(link).path).stem
    try:
        return str(uuid.UUID(stem)) if len(stem) == len(str(uuid.UUID(int=0))) else ""
    except ValueError:
        return ""


def shown_link(name: str) -> str:
    """A link without user and query, which may hold signatures; other names stay as they are."""
    if not name.lower().startswith(("http://", "https://")):
        return name
    address, *hidden = re.split(r"[?#]", name, maxsplit=1)
    return re.sub(r"//[^/]*@", "//", address, count=1) + (HIDDEN if hidden else "")
