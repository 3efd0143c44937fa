"""What a user of `mcp` does with a server of the newest version of the protocol."""

import asyncio
import os

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client


async def main():
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {os.environ['MCP_TOKEN']}"}, timeout=30)
    async with Client(streamable_http_client(os.environ["MCP_URL"], http_client=http)) as client:
        assert client.protocol_version == "2026-07-28", client.protocol_version
        assert [tool.name for tool in (await client.list_tools()).tools] == ["add"]
        assert (await client.call_tool("add", {"a": 1, "b": 2})).content[0].text == "3"
        try:
            await client.call_tool("forget", {})
            raise SystemExit("a tool that is not granted was called")
        except MCPError as error:
            assert "forget" in str(error), error


asyncio.run(main())
