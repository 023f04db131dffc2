"""Server-sent events as a client reads them."""

from __future__ import annotations

import httpx
import pytest

from touchstone_client.errors import ClientError, WaitTimeout
from touchstone_client.follow import Message, messages
from touchstone_client.sdk import Client

STATE = 'id: 1.0.0.0\nevent: state\ndata: {"status": "running", "final": false}\n\n'
END = 'id: 3.1.0.4\nevent: end\ndata: {"status": "scored", "final": true}\n\n'


def test_messages_comments_and_lines_of_data() -> None:
    lines = [
        "retry: 1000", "", ": here", "", "event: log", "id: 7", 'data: {"text":', 'data:  "a"}', "", "data: {}", "",
        "event: state", "",
    ]  # fmt: skip
    assert list(messages(lines)) == [Message("log", {"text": "a"}, "7"), Message("message", {}, "7")]


@pytest.mark.parametrize("data", ["nonsense", "[1]", "1"])
def test_what_is_no_object_is_no_stream(data: str) -> None:
    with pytest.raises(ClientError, match="not in the form"):
        list(messages([f"data: {data}", ""]))


class Server(httpx.BaseTransport):
    """Answers each connection with the next text; `asked` are the places it was asked for."""

    def __init__(self, *answers: str | httpx.Response) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.params.get("after", ""))
        answer = self.answers.pop(0)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, text=answer)


def test_it_connects_again_where_it_was_cut_off() -> None:
    server = Server(STATE, "", 'event: log\nid: 2.1.0.4\ndata: {"text": "hi"}\n\n', END)
    with Client("http://here", transport=server, patience=0) as client:
        told = [message.event for message in client.follow("some")]
    assert told == ["state", "log", "end"]
    assert server.asked == ["", "1.0.0.0", "1.0.0.0", "2.1.0.4"]


def test_it_waits_no_longer_than_asked() -> None:
    with Client("http://here", transport=Server(STATE, STATE), patience=0) as client, pytest.raises(WaitTimeout):
        list(client.follow("some", timeout=-1))


def test_a_refusal_is_told() -> None:
    refused = httpx.Response(401, json={"code": "bad_token", "detail": "no", "status": 401, "title": "x"})
    with Client("http://here", transport=Server(refused), patience=0) as client, pytest.raises(ClientError) as told:
        list(client.follow("some"))
    assert told.value.status == 401
