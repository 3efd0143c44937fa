"""What a user of `anthropic` does. The settings come from the environment, as for any program that uses the package."""

import os

import anthropic

client = anthropic.Anthropic()
hello = [{"role": "user", "content": "Hello"}]
ask = {"model": "claude-haiku-5", "max_tokens": 100}

answer = client.messages.create(messages=hello, **ask)
assert answer.content[0].text == "Hello there", answer

with client.messages.stream(messages=hello, **ask) as stream:
    assert "".join(stream.text_stream) == "Hello there"
    last = stream.get_final_message()
    assert last.usage.output_tokens == 2 and last.stop_reason == "end_turn", last

# The other way to show a token.
bearer = anthropic.Anthropic(auth_token=os.environ.pop("ANTHROPIC_API_KEY"))
assert bearer.messages.create(messages=hello, **ask).content[0].text == "Hello there"

count = client.messages.count_tokens(model="claude-haiku-5", messages=hello)
assert count.input_tokens == 9, count

try:
    client.messages.create(model="claude-opus-9", max_tokens=100, messages=hello)
    raise SystemExit("a model that is not granted answered")
except anthropic.PermissionDeniedError as error:
    assert error.body["error"]["type"] == "permission_error", error.body
    assert "the model `claude-opus-9` is not granted to this token" in error.message, error.message

try:
    search = [{"type": "web_search_20250305", "name": "web_search"}]
    client.messages.create(messages=hello, tools=search, **ask)
    raise SystemExit("a tool of the provider ran")
except anthropic.PermissionDeniedError as error:
    assert "web_search" in error.message, error.message

try:
    client.with_options(max_retries=0).messages.create(messages=[{"role": "user", "content": "Be overloaded"}], **ask)
    raise SystemExit("an overloaded server answered")
except anthropic.InternalServerError as error:
    assert error.body["error"]["type"] == "overloaded_error", error.body

slow = anthropic.Anthropic(api_key=os.environ["SLOW_TOKEN"], max_retries=0)
slow.messages.create(messages=hello, **ask)
try:
    slow.messages.create(messages=hello, **ask)
    raise SystemExit("a second request in one minute went through")
except anthropic.RateLimitError as error:
    assert error.body["error"]["type"] == "rate_limit_error", error.body
    assert 0 < int(error.response.headers["retry-after"]) <= 60, error.response.headers

try:
    anthropic.Anthropic(api_key="dw_nobody").messages.create(messages=hello, **ask)
    raise SystemExit("an unknown token was good")
except anthropic.AuthenticationError as error:
    assert error.body["error"]["type"] == "authentication_error", error.body
