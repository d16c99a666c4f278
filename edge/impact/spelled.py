"""Numbers in digits as English words, so that "20th" and "twentieth" are the same thing said."""

from __future__ import annotations

import re

# fmt: off
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_TENS = ("", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# fmt: on
_SCALES = ("", "thousand", "million", "billion", "trillion")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_CURRENCIES = {"$": "dollars", "£": "pounds", "€": "euros"}
LONGEST_NUMBER = 6
"""digits in a row that are still read as one number; more are read one by one, as telephone numbers are"""


def cardinal(number: int) -> list[str]:
    """1234 -> one thousand two hundred thirty four; without "and". number: 0 to 10**15 - 1."""
    if number < 20:
        return [_SMALL[number]]
    if number < 100:
        return [_TENS[number // 10], *(cardinal(number % 10) if number % 10 else [])]
    if number < 1000:
        return [_SMALL[number // 100], "hundred", *(cardinal(number % 100) if number % 100 else [])]
    power = (len(str(number)) - 1) // 3
    head, rest = divmod(number, 1000**power)
    return [*cardinal(head), _SCALES[power], *(cardinal(rest) if rest else [])]


def spoken_number(digits: str) -> list[str]:
    """Digits as they are mostly said: 1986 nineteen eighty six, 2005 two thousand five, long ones one by one."""
    if len(digits) > LONGEST_NUMBER or (digits[0] == "0" and len(digits) > 1):
        return [_SMALL[int(d)] for d in digits]
    number = int(digits)
    century, year = divmod(number, 100)
    if 1100 <= number <= 1999 or 2010 <= number <= 2099:
        tail = ["hundred"] if year == 0 else ["oh", _SMALL[year]] if year < 10 else cardinal(year)
        return [*cardinal(century), *tail]
    return cardinal(number)


def ordinal(digits: str) -> list[str]:
    """22 -> twenty second."""
    *head, last = cardinal(int(digits[-15:]))
    if last in _ORDINALS:
        return [*head, _ORDINALS[last]]
    return [*head, f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"]


def _plural(digits: str) -> list[str]:
    *head, last = spoken_number(digits)
    return [*head, f"{last[:-1]}ies" if last.endswith("y") else f"{last}es" if last == "six" else f"{last}s"]


def spell_numbers(text: str) -> str:
    """Lower-case text with all numbers in digits put into words: ordinals, decades, decimals, money, per cent."""

    def words(found: list[str]) -> str:
        return f" {' '.join(found)} "

    text = re.sub(r"([$£€])\s?(\d[\d,]*(?:\.\d+)?)", lambda m: f"{m[2]} {_CURRENCIES[m[1]]}", text)
    text = text.replace("%", " percent ").replace("&", " and ")
    # groups of thousands are one number, however long
    text = re.sub(r"\b\d{1,3}(?:,\d{3}){1,4}\b", lambda m: words(cardinal(int(m[0].replace(",", "")))), text)
    text = re.sub(r"\b(\d+)(?:st|nd|rd|th)\b", lambda m: words(ordinal(m[1])), text)
    text = re.sub(r"\b(\d+)'?s\b", lambda m: words(_plural(m[1])), text)
    text = re.sub(
        r"\b(\d+)\.(\d+)\b",
        lambda m: words([*spoken_number(m[1]), "point", *(_SMALL[int(d)] for d in m[2])]),
        text,
    )
    return re.sub(r"[0-9]+", lambda m: words(spoken_number(m[0])), text)
