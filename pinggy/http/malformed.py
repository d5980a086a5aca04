"""
The one error of parsers: what came is not the HTTP that we read.
"""

from __future__ import annotations


class Malformed(Exception):
    """
    *status* is what a visitor is answered (400, 414, 431, 501 or 505); *sentence* says why and holds no word of a
    stranger.
    """

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status
