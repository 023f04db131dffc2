"""How a conversation with a sandbox can fail. Each becomes a verdict in `runners.models.served`."""

from __future__ import annotations


class ChannelError(Exception):
    """Base of the failures below; the text is meant for the participant.

    `detail` quotes what the submission sent. It has seen inputs that may be hidden, so once it was asked a
    quotation goes into its log, which is shown only as far as the phase allows, and never into the verdict's text.
    """

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail[:1000]


class ChannelClosed(ChannelError):
    """The submission hung up. `midway`: after it had begun an answer."""

    def __init__(self, message: str, *, midway: bool = False) -> None:
        super().__init__(message)
        self.midway = midway


class ChannelTimeout(ChannelError):
    """Nothing (or not everything) came before the deadline."""


class ProtocolError(ChannelError):
    """What came is not a correct answer."""


class AnswerTooLarge(ProtocolError):
    """The answer is larger than any correct one could be."""


class ServerError(ChannelError):
    """The submission itself answered with an error. `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
