"""The script for bash that completes the words of `vtorc ctl`."""

from collections.abc import Iterator, Sequence

from vtorc.cli.client.words import COMMANDS, COMMON, SHARD, CtlWord

# Bash expands the words that it completes. So a name with other characters than Vitess allows is not offered: it could
# hold a command. The names of a recovery's steps stand deeper in the JSON.
_SCRIPT = r"""# To use it: source <(vtorc ctl completion bash)
_vtorc_ctl_shards() {
  vtorc ctl shards --json 2>/dev/null | sed -n 's|^      "name": "\([A-Za-z0-9_./-]*\)".*|\1|p'
}
_vtorc_ctl() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" words="" command="" at
  if ((COMP_CWORD == 1)); then
    words="ctl"
  elif [ "${COMP_WORDS[1]}" = ctl ]; then
    for ((at = 2; at < COMP_CWORD; at++)); do
      case "${COMP_WORDS[at]}" in
        VALUED) ((at++)) ;;
        -*) ;;
        *) command="${COMP_WORDS[at]}"; break ;;
      esac
    done
    case "$command:$previous" in
CASES
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _vtorc_ctl vtorc
"""


def bash_script() -> str:
    """Return the script: commands and options from their tables, and the names of shards from vtorc itself."""
    cases = "\n".join(f'      {pattern}) words="{words}" ;;' for pattern, words in _cases())
    return _SCRIPT.replace("VALUED", "|".join(_VALUED)).replace("CASES", cases)


_VALUED = tuple(word.name for word in COMMON if not word.is_switch)
"""The options before the command that take the next word as their value."""


def _cases() -> Iterator[tuple[str, str]]:
    """Yield patterns of COMMAND:PREVIOUS, each with the words that may follow; the first that fits counts."""
    common = [word.name for word in COMMON]
    yield "*:--shard", _SHARDS
    for name, command in COMMANDS.items():
        for word in command.words:
            if word.name.startswith("--") and not word.is_switch and word.name != "--shard":
                yield f"{name}:{word.name}", " ".join(word.choices or ())
    for option in _VALUED:
        yield f"*:{option}", ""
    yield ":*", " ".join([*COMMANDS, *common])
    for name, command in COMMANDS.items():
        options = [word.name for word in command.words if word.name.startswith("--")]
        yield f"{name}:*", " ".join([*_values(command.words), *options, *common])


_SHARDS = "$(_vtorc_ctl_shards)"


def _values(words: Sequence[CtlWord]) -> Iterator[str]:
    """Yield the values of a command's arguments."""
    for word in words:
        if word.name == SHARD.name:
            yield _SHARDS
        elif not word.name.startswith("--"):
            yield from word.choices or ()
