"""What a user of `mcp` does, with a token in the header that the server's documentation would name."""

import asyncio
import os

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client


def connect(token):
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30)
    return Client(streamable_http_client(os.environ["MCP_URL"], http_client=http))


async def refused(what, sentence):
    try:
        await what
    except MCPError as error:
        assert sentence in str(error), error
    else:
        raise SystemExit(f"{sentence}: it was done")


async def main():
    async with connect(os.environ["MCP_TOKEN"]) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert sorted(tools) == ["echo", "get-structured-content", "get-sum", "trigger-long-running-operation"], tools

        echo = await client.call_tool("echo", {"message": "Hello there"})
        assert echo.content[0].text == "Echo: Hello there", echo

        steps = []

        async def progress(done, total, message):
            steps.append((done, total))

        slow = {"duration": 0.6, "steps": 3}
        done = await client.call_tool("trigger-long-running-operation", slow, progress_callback=progress)
        assert "completed" in done.content[0].text, done
        assert steps == [(1, 3), (2, 3), (3, 3)], steps

        await refused(client.call_tool("get-env", {}), "get-env")
        assert (await client.list_resources()).resources == []
        await refused(client.read_resource("demo://resource/static/document/features.md"), "features.md")
        assert (await client.list_prompts()).prompts == []

    try:
        async with connect(os.environ["OTHER_TOKEN"]) as client:
            await client.list_tools()
        raise SystemExit("a server that is not granted answered")
    except ExceptionGroup as group:
        error = group
        while isinstance(error, ExceptionGroup):
            [error] = error.exceptions
        assert "the MCP server `server` is not granted to this token" in str(error), group


asyncio.run(main())
