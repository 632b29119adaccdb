"""Characters that bytes become when they are decoded wrongly, and others that no keyboard types."""

import re
from collections.abc import Iterable
from typing import Any

# What the bytes 0x80–0xBF of a multi-byte UTF-8 character become in Windows-1252 and Latin-1, and in Windows-1251.
_WESTERN = "".join({chr(byte) + (bytes([byte]).decode("cp1252", "ignore")) for byte in range(0x80, 0xC0)})
_CYRILLIC = "".join(bytes([byte]).decode("cp1251", "ignore") for byte in range(0x80, 0xC0))
# Lead bytes of scripts in common use. `ß“` and `É…`, which start like Thaana or Greek extensions, are ordinary text.
_MOJIBAKE = f"[ÂÃÄÅÎÏÐÑ×ØÙÚÛ][{_WESTERN}]|[à-ï][{_WESTERN}]{{2}}|ð[{_WESTERN}]{{3}}|(?:[РС][{_CYRILLIC}]){{2}}"
KINDS = {
    "replaced": re.compile("\ufffd"),
    "mojibake": re.compile(_MOJIBAKE),
    "control": re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"),
    "private_use": re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]"),
}
CONTEXT = 20  # characters on each side of an example
EXAMPLES = 3


def decoding_errors(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Count texts by the first kind that they hold; `examples` are what stands around it in the first of them.

    `replaced` : U+FFFD, put for bytes that could not be decoded. `mojibake` : UTF-8 decoded as another encoding, such
    as `Ã©` for é. `control` : control characters other than tab and line ends. `private_use` : code points without a
    meaning of their own. Kinds that do not occur are left out.
    """
    kinds: dict[str, dict[str, Any]] = {kind: {"texts": 0, "examples": []} for kind in KINDS}
    for text in texts:
        if text.isascii() and text.isprintable():
            continue
        for kind, pattern in KINDS.items():
            if match := pattern.search(text):
                kinds[kind]["texts"] += 1
                if len(kinds[kind]["examples"]) < EXAMPLES:
                    kinds[kind]["examples"].append(text[max(0, match.start() - CONTEXT) : match.end() + CONTEXT])
                break
    return {kind: record for kind, record in kinds.items() if record["texts"]}
