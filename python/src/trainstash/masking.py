"""Finds secrets in what is about to be written down, and masks them. The rules are data, in ``rules/secrets.json``. The daemon
applies them in ``protocol/secrets.ts``, step by step as here: whoever changes one file changes the other."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, List, Mapping, Optional, Pattern, Sequence, Tuple

from .shared import rules

_RULES: Dict[str, Any] = rules("secrets")
MASK = str(_RULES.get("mask", "***"))
#: The values of the launch's params that its record masks, from whoever launched this process.
_PARAMS_VARIABLE = "TRAINSTASH_PARAMS"


def mask_words(words: Sequence[str]) -> List[str]:
    """Masks the secrets among the words of a command: only the result is written to disk."""
    if not _RULES:
        # Without the rules nobody can tell: the program alone is shown.
        return [*words[:2], *(MASK for _ in words[2:])]
    result: List[str] = []
    several_follow = False
    for i, word in enumerate(words):
        before = words[i - 1] if i > 0 else ""
        introduced = _OPTION.fullmatch(before) or _INTRODUCED.fullmatch(before)
        name = introduced.group(1) if introduced else None
        is_named = name is not None and _is_secret(name, word)
        if _OPTION.fullmatch(word):
            is_value = is_named and _is_random(word)
        else:
            is_value = is_named or several_follow or _is_scheme(words, i)
        several_follow = is_value and (several_follow or (name or "").endswith("s"))
        result.append(MASK if is_value else _mask_word(words, i, name))
    return result


def mask_text(text: str) -> str:
    """Masks the secrets in a text for people: a reason, a notice, a line of a log."""
    if not _RULES:
        return text
    if len(text) > _RULES["longest"]:
        return "\n".join(map(mask_text, text.split("\n"))) if "\n" in text else MASK
    result = _URL.sub(lambda match: match.group(1) + _mask_url(match.group(2)), text)
    for pattern in _TEXTS:
        result = pattern.sub(_mask_match, result)
    result = _mask_assigned(_mask_assigned(result, _ASSIGNMENT), _FOLLOWING)
    return _LOGIN.sub(
        lambda match: match.group() if _is_plain(match.group(2)) else f"{match.group(1)}{MASK}@", result
    )


def mask_params(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Masks the values of params whose names or texts say that they are secrets."""
    return {name: mask_value(str(name), value) for name, value in params.items()}


def mask_value(name: str, value: Any) -> Any:
    """Masks one param's value, or what is nested in it. ``name``: with dots where it is nested itself."""
    if not _RULES:
        return value
    if isinstance(value, list):
        return [mask_value(name, item) for item in value]
    if isinstance(value, dict):
        return {key: mask_value(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return MASK if _is_secret(name, str(value)) else value
    if not isinstance(value, str):
        return value
    if _is_secret(name, value) or _is_unexplained_hash(name, value):
        return MASK
    return mask_text(value)


def unmasked(launched: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """Returns the params of a launch without its masks: what the record hides is in the environment, or left out here."""
    try:
        real = json.loads(os.environ.get(_PARAMS_VARIABLE, "{}"))
    except ValueError:
        real = {}
    known: Dict[str, Any] = {}
    for name, value in (launched or {}).items():
        if not _has_mask(value):
            known[name] = value
        elif isinstance(real, dict) and name in real:
            known[name] = real[name]
    return known


def _has_mask(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_mask(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_mask(item) for item in value)
    return isinstance(value, str) and MASK in value


# ---- words ----


def _is_scheme(words: Sequence[str], i: int) -> bool:
    """Recognizes ``Authorization:`` ``Bearer`` ``…`` as three words."""
    scheme = words[i - 1] if i > 0 else ""
    if scheme in ("Bearer", "bearer"):
        return not _is_plain(words[i])
    header = words[i - 2] if i > 1 else ""
    return bool(_SCHEME.fullmatch(scheme) and _HEADER.fullmatch(header))


def _mask_word(words: Sequence[str], i: int, name: Optional[str]) -> str:
    """Masks one word of a command. ``name``: the name of the option or key before it."""
    word = words[i]
    assigned = _ASSIGNED.fullmatch(word)
    if assigned:
        head, own, value = assigned.groups()
        # The text of a shell goes on after its first variable.
        is_shell = i > 0 and bool(_SHELL.fullmatch(words[i - 1]))
        if not is_shell and (_is_secret(own, value) or _is_unexplained_hash(own, value)):
            return f"{head}{MASK}"
        return mask_text(word)
    kept = _kept_by_program(words, i)
    if kept is not None:
        return f"{kept}{MASK}"
    is_setting = i > 0 and _is_setting(words[i - 1], word)
    if is_setting or (_is_bare_secret(words, i) if name is None else _is_unexplained_hash(name, word)):
        return MASK
    return mask_text(word)


def _is_setting(name: str, word: str) -> bool:
    """Recognizes what follows a name that stands as a word of its own."""
    if name in ("password", "passwd", "passphrase"):
        return not _is_plain(word) and not word.startswith("-")
    return bool(_SETTING.fullmatch(name)) and _is_strong(name) and _is_random(word)


def _is_bare_secret(words: Sequence[str], i: int) -> bool:
    """Recognizes a long random word that no name explains; where git is run, a hash is a commit."""
    word = words[i]
    if _HASH.fullmatch(word) and _runs(words, i, _RULES["commitPrograms"]):
        return False
    return bool(_BARE.fullmatch(word))


def _is_unexplained_hash(name: str, value: str) -> bool:
    """Keys of some services look like a commit's hash: only what is named like a commit, a model or a file stays."""
    return bool(_HASH.fullmatch(_HASH_QUOTES.sub("", value))) and not _COMMIT_NAME.search(_normalised(name))


def _kept_by_program(words: Sequence[str], i: int) -> Optional[str]:
    """Returns the beginning of a word that stays, where a program's option of one letter says that the rest is a secret."""
    word = words[i]
    before = words[i - 1] if i > 0 else ""
    for rule in _RULES["separate"]:
        if before in rule["options"] and not word.startswith("-") and _runs(words, i, rule["programs"]):
            return ""
    for rule in _RULES["attached"]:
        option = next((each for each in rule["options"] if word.startswith(each) and len(word) > len(each)), None)
        if option is not None and _runs(words, i, rule["programs"]):
            return str(option)
    colon = word.find(":")
    for rule in _RULES["pairs"]:
        if before in rule["options"] and colon > 0 and not _is_plain(word[colon + 1 :]):
            if _runs(words, i, rule["programs"]):
                return word[: colon + 1]
    return None


def _runs(words: Sequence[str], before: int, programs: Sequence[str]) -> bool:
    return any(word[word.rfind("/") + 1 :] in programs for word in words[:before])


# ---- texts ----


def _mask_match(match: "re.Match[str]") -> str:
    head = (match.group(1) or "") if match.re.groups else ""
    return match.group() if _is_plain(match.group()[len(head) :]) else f"{head}{MASK}"


def _mask_url(rest: str) -> str:
    login = _AUTHORITY.match(rest) or _ODD_AUTHORITY.match(rest)
    shown = _mask_login(login.group(1) or "", login.group(2)) if login else ""

    def mask_query(match: "re.Match[str]") -> str:
        mark, name, value = match.groups()
        return f"{mark}{name}={MASK}" if _is_query_secret(name, value) else match.group()

    return shown + _QUERY.sub(mask_query, rest[login.end() if login else 0 :])


def _mask_login(user: str, password: Optional[str]) -> str:
    """Masks a login in an address: some services take the token in place of the user's name."""
    shown = _is_random(user) or _is_long_key(user) or (password in ("", "x-oauth-basic") and len(user) >= 16)
    name = MASK if shown and not _is_plain(user) else user
    if password is None:
        return f"{name}@"
    return f"{name}:{password if _is_plain(password) or password == 'x-oauth-basic' else MASK}@"


def _mask_assigned(text: str, head: Pattern[str]) -> str:
    """Goes on inside of what is no secret by its name: ``--env API_KEY=…`` is one assignment in another."""
    result: List[str] = []
    done = at = 0
    while True:
        match = head.search(text, at)
        if not match:
            return "".join(result) + text[done:]
        name = match.group(1)
        at = match.end()
        # Most names are no secrets, and their values may be long.
        if not _may_be_secret(name):
            continue
        valued = _VALUE.match(text, at)
        value = valued.group() if valued else ""
        opening, inner, closing = _unquoted(value)
        if inner.startswith(MASK) or not _is_secret(name, inner):
            continue
        result.append(f"{text[done:at]}{opening}{MASK}{closing}")
        done = at = at + len(value)


def _unquoted(value: str) -> Tuple[str, str, str]:
    opening = '\\"' if value.startswith('\\"') else value[:1] if value[:1] in ('"', "'") else ""
    closing = opening if opening and len(value) > len(opening) and value.endswith(opening) else ""
    return opening, value[len(opening) : len(value) - len(closing)], closing


# ---- names and values ----


def _any(parts: Sequence[str]) -> str:
    return f"(?:{'|'.join(parts)})"


def _compile(source: str) -> Pattern[str]:
    return re.compile(source, re.ASCII)


def _part(key: str) -> str:
    return _any(_RULES.get(key, ("(?!)",)))


def _named(parts: str) -> Pattern[str]:
    return _compile(f"(?:^|_){parts}(?:_?{_part('nameEndings')}){{0,2}}\\Z")


def _ending(key: str) -> Pattern[str]:
    return _compile(f"(?:^|_){_part(key)}\\Z")


def _normalised(name: str) -> str:
    """Normalises a name: ``wandbKey``, ``--wandb-key``, ``WANDB_KEY`` → ``wandb_key``."""
    name = re.sub("([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub("([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub("[^A-Za-z0-9]+", "_", name).strip("_").lower()


def _is_strong(name: str) -> bool:
    """Tells whether a name alone makes its value a secret."""
    full = _normalised(name)
    return not _OTHER.search(full) and bool(
        _PASSWORD.search(full) or _TOKEN.search(full) or _BARE_NAME.match(_last_part(name))
    )


def _may_be_secret(name: str) -> bool:
    """Tells whether there is a value that would make it one."""
    return _is_strong(name) or bool(_WEAK.search(_normalised(name)))


def _is_secret(name: str, value: str) -> bool:
    full = _normalised(name)
    if _is_plain(value) or _OTHER.search(full):
        return False
    if _PASSWORD.search(full):
        return True
    if _NUMBER.fullmatch(value) or (_MODE_NAME.search(full) and _MODE.fullmatch(value.lower())):
        return False
    if _TOKEN.search(full) or _BARE_NAME.match(_last_part(name)):
        return True
    return bool(_WEAK.search(full)) and not _WEAK_ENDING.search(full) and _is_random(value, _LEAST_NAMED)


def _is_query_secret(name: str, value: str) -> bool:
    full = _normalised(name)
    if _is_plain(value):
        return False
    if _is_secret(name, value):
        return True
    if _NUMBER.fullmatch(value):
        return False
    return bool(_QUERY_NAME.search(full)) or (bool(_QUERY_NAME_ALONE.fullmatch(full)) and len(value) >= 6)


def _last_part(name: str) -> str:
    """Returns the last part of a name: ``logger.wandb.token`` → ``token``."""
    return _normalised(re.split("[.:/]", name)[-1])


def _is_plain(value: str) -> bool:
    """Recognizes a value that is no secret under any name: ``none``, ``$TOKEN``, ``<pad>``, a path, a mask."""
    return bool(_PLAIN.fullmatch(value.strip(" \t\r\n").lower()))


# Lengths from which a value may be random: where its name says nothing, and where it hints at a secret.
_LEAST = 16
_LEAST_NAMED = 10


def _is_random(value: str, least: int = _LEAST) -> bool:
    """Recognizes letters and digits in a mixture that no word and no version has."""
    bare = value.rstrip("=")
    if not least <= len(bare) <= 4096 or re.search("[^A-Za-z0-9_+/=.~:-]", bare):
        return False
    if _is_long_key(bare):
        return True
    parts = re.findall("[a-z]+|[A-Z]+|[0-9]+", bare)
    separators = re.findall("[^A-Za-z0-9]", bare)
    is_word = re.search("[a-z]{5}" if len(bare) < _LEAST else "[a-z]{7}", bare)
    return len(parts) >= 5 and len(separators) <= 2 and not is_word and bool(re.search("[0-9]", bare))


def _is_long_key(value: str) -> bool:
    """Recognizes a key of small letters and digits alone, which may look like words in places."""
    return len(value) >= 20 and bool(re.fullmatch("[A-Za-z0-9]+", value)) and len(re.findall("[0-9]", value)) >= 4


_OPTION = _compile("--?([A-Za-z][A-Za-z0-9_.:/-]*)")
_INTRODUCED = _compile("[\"'{[(]*([A-Za-z_][A-Za-z0-9_.-]*)[\"']?(?::=|[:=])")
_ASSIGNED = _compile("([-+~]{0,2}([A-Za-z_][A-Za-z0-9_./:@-]*?):?=)([\\s\\S]+)")
_SETTING = _compile("[A-Za-z][A-Za-z0-9]*(?:[_.-][A-Za-z0-9]+)+")
_SHELL = _compile("-[a-z]*c")
_SCHEME = _compile("[A-Za-z][A-Za-z0-9-]*")
_HEADER = _compile("-{0,2}[Aa]uthorization:")
_URL = _compile("([A-Za-z][A-Za-z0-9+.-]{0,30}://)([^ \\t\\r\\n\"'<>]+)")
_AUTHORITY = _compile("([^:/?#@]*)(?::([^/?#]*))?@")
_ODD_AUTHORITY = _compile("([^:/?#@]+):(?![0-9]{1,5}(?:[/?#]|(?![\\s\\S])))([^?#]*)@")
_QUERY = _compile("([?&;#])([^=&;#?]{1,80})=([^&;#]*)")
_NAME = "[A-Za-z_][A-Za-z0-9_.-]{0,80}"
_QUOTE = "\\\\?[\"']"
# Ends where the next thing of a list or a query begins.
_UNQUOTED = "|".join(
    (
        "[^ \\t\\r\\n\"';&<>,)\\]}]",
        f",(?![ \\t]{{0,3}}[\"']?{_NAME}[\"']?[ \\t]{{0,3}}[:=])",
        f"&(?!{_NAME}=)",
        "[)\\]}](?=[^)\\]},; \\t\\r\\n\"'])",
    )
)
_VALUE = _compile(
    '\\\\"(?:[^"\\\\]|\\\\[^"])*(?:\\\\"|)|"(?:[^"\\\\]|\\\\[\\s\\S])*(?:"|)'
    f"|'(?:[^'\\\\]|\\\\[\\s\\S])*(?:'|)|(?:{_UNQUOTED})+"
)
_ASSIGNMENT = _compile(
    f"(?<![A-Za-z0-9_.-])-{{0,2}}({_NAME})(?:{_QUOTE})?[ \\t]{{0,3}}(?::=|=>|=|:)[ \\t]{{0,3}}"
)
_FOLLOWING = _compile("(?<![^ \\t\\r\\n\"'=(])--?([A-Za-z][A-Za-z0-9_.-]{0,80})[ \\t]{1,3}(?!-)")
_LOGIN = _compile(
    "(?<![A-Za-z0-9_./-])([A-Za-z0-9_.-]{1,80}:)([^ \\t\\r\\n:@/\"'<>]{1,200})@(?!(?:sha[0-9]{1,3}|md5):)"
    "(?=[A-Za-z0-9-]{1,80}(?:[.][A-Za-z0-9-]{1,80}|:[0-9]{1,5}(?![0-9a-z]))|localhost)"
)
_TEXTS = [_compile(source) for source in _RULES.get("texts", ())]
_PASSWORD = _named(_part("passwordNames"))
_TOKEN = _named(_any((*_RULES.get("tokenNames", ()), f"{_part('services')}(?:_?{_part('serviceParts')}){{0,2}}_?{_part('serviceNouns')}")))
_BARE_NAME = _compile(f"{_part('bareNames')}(?:_{_part('nameEndings')}){{0,2}}\\Z")
_OTHER = _ending("otherNames")
_WEAK = _compile(f"(?:^|_){_part('weakWords')}(?:_|\\Z)")
_WEAK_ENDING = _ending("weakEndings")
_QUERY_NAME = _ending("queryNames")
_QUERY_NAME_ALONE = _compile(_part("queryNamesAlone"))
_MODE_NAME = _ending("modeNames")
_COMMIT_NAME = _ending("commitNames")
_PLAIN = _compile(_part("plainValues"))
_MODE = _compile(_part("authModes"))
_NUMBER = _compile(str(_RULES.get("numbers", "(?!)")))
_HASH_QUOTES = _compile("\\A[\"']|[\"']\\Z")
_HASH = _compile(str(_RULES.get("commitHex", "(?!)")))
_BARE = _compile(_part("bareSecrets"))
