"""What the name of an ALSA device says about its card, without asking ALSA."""

from __future__ import annotations

import re

_BY_NUMBER = re.compile(r"^\w+:(CARD=)?\d+(,|$)")


def names_card_by_number(device: str) -> bool:
    """Is it hw:1,0 or plughw:CARD=1 and the like? Numbers change between boots, ids such as hw:CARD=name do not."""
    return _BY_NUMBER.match(device) is not None
