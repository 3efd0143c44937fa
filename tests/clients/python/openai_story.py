"""What a user of `openai` does. The settings come from the environment, as for any program that uses the package."""

import os

import openai

client = openai.OpenAI()
hello = [{"role": "user", "content": "Hello"}]

answer = client.chat.completions.create(model="gpt-5", messages=hello, metadata={"unheard-of": "stays"})
assert answer.choices[0].message.content == "Hello there", answer

stream = client.chat.completions.create(
    model="gpt-5", messages=hello, stream=True, stream_options={"include_usage": True}
)
chunks = list(stream)
assert "".join(chunk.choices[0].delta.content for chunk in chunks if chunk.choices) == "Hello there", chunks
assert chunks[-1].usage.total_tokens == 7, chunks

answer = client.responses.create(model="gpt-5", input="Hello")
assert answer.output_text == "Hello there", answer
with client.responses.stream(model="gpt-5", input="Hello") as stream:
    assert "".join(event.delta for event in stream if event.type == "response.output_text.delta") == "Hello there"
    assert stream.get_final_response().usage.total_tokens == 7

embedding = client.embeddings.create(model="text-embedding-3-small", input="Hello", encoding_format="float")
assert embedding.data[0].embedding == [0.5, -0.25], embedding

assert [model.id for model in client.models.list()] == ["gpt-5"]

heard = client.audio.transcriptions.create(model="whisper-1", file=("bell.wav", b"RIFF of a bell"))
assert heard.text == "it rang", heard

try:
    client.chat.completions.create(model="o9-huge", messages=hello)
    raise SystemExit("a model that is not granted answered")
except openai.PermissionDeniedError as error:
    assert "the model `o9-huge` is not granted to this token" in error.message, error.message
    assert error.code == "model_not_found", error.code

try:
    client.responses.create(model="gpt-5", input="Hello", tools=[{"type": "web_search"}])
    raise SystemExit("a tool of the provider ran")
except openai.PermissionDeniedError as error:
    assert "web_search" in error.message, error.message

slow = openai.OpenAI(api_key=os.environ["SLOW_TOKEN"], max_retries=0)
slow.chat.completions.create(model="gpt-5", messages=hello)
try:
    slow.chat.completions.create(model="gpt-5", messages=hello)
    raise SystemExit("a second request in one minute went through")
except openai.RateLimitError as error:
    assert 0 < int(error.response.headers["retry-after"]) <= 60, error.response.headers

try:
    openai.OpenAI(api_key="dw_nobody").models.list()
    raise SystemExit("an unknown token was good")
except openai.AuthenticationError as error:
    assert error.code == "invalid_api_key", error.code
